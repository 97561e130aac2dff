"""A shop of eight customers in four months, orders and subscriptions: what Dagster and the command are tested on."""

from datetime import date
from pathlib import Path

from retention_pipeline.settings import Home

AS_OF = date(2024, 5, 10)
MONTHS = ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"]
SETTINGS = """
business: {timezone: Europe/Amsterdam, reporting_currency: EUR, min_n: 1}
history_start: 2024-01-01
sources:
  orders: {type: files, path: landing/orders/*.csv, timezone: Europe/Amsterdam}
  subscriptions: {type: files, path: landing/subscriptions/*.csv, timezone: Europe/Amsterdam}
"""
ORDERS = """order_id,customer_id,ordered_at,amount,currency,status
1,stays,2024-01-05 10:00:00,20.00,EUR,paid
2,stays,2024-02-05 10:00:00,20.00,EUR,paid
3,stays,2024-03-05 10:00:00,20.00,EUR,paid
4,stays,2024-04-05 10:00:00,20.00,EUR,paid
5,leaves,2024-01-07 23:59:59,35.50,EUR,paid
6,buys_once,2024-02-20 09:00:00,12.00,EUR,paid
7,cancels,2024-03-01 09:00:00,99.00,EUR,cancelled
8,comes_late,2024-04-30 12:00:00,50.00,EUR,paid
"""
SUBSCRIPTIONS = """subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at
s1,subscribes,basic,10.00,EUR,month,active,2024-01-10,
s2,upgrades,basic,10.00,EUR,month,active,2024-01-15,2024-03-01
s2,upgrades,plus,25.00,EUR,month,active,2024-03-01,
s3,quits,basic,10.00,EUR,month,active,2024-02-01,2024-04-01
"""
FURTHER = {  # a few rows of every other dataset
    "customers": """customer_id,valid_from,signed_up_at,country,acquisition_channel,referred_by
stays,,2024-01-02,NL,ads,
stays,2024-03-10,2024-01-02,DE,ads,
subscribes,,2024-01-10,NL,search,stays
""",
    "customer_aliases": """alias_id,customer_id,valid_from
stays_as_guest,stays,
""",
    "fx_rates": """date,currency,rate_to_reporting
2024-01-01,USD,0.9
""",
    "payments": """payment_id,invoice_id,customer_id,attempted_at,status,failure_reason
p1,i1,upgrades,2024-03-02,failed,card_expired
p2,i1,upgrades,2024-03-09,succeeded,
p3,,subscribes,2024-05-02,failed,
""",
    "events": """event_id,customer_id,occurred_at,event,duration_seconds
e1,stays,2024-01-05,login,60
e2,stays,2024-03-06,login,
e3,subscribes,2024-05-05,export,90
""",
    "surveys": """response_id,customer_id,responded_at,kind,score,scale_max
r1,upgrades,2024-03-02,nps,10,10
r2,subscribes,2024-04-10,nps,3,10
r3,subscribes,2024-04-10,csat,4,5
""",
    "emails": """message_id,customer_id,event,occurred_at,is_machine
m1,upgrades,delivered,2024-03-02,
m1,upgrades,opened,2024-03-03,
m1,upgrades,clicked,2024-03-03,
""",
    "tickets": """ticket_id,customer_id,opened_at,first_reply_at,resolved_at,reason
t1,upgrades,2024-03-02T10:00:00Z,2024-03-02T11:00:00Z,2024-03-03T10:00:00Z,billing
t2,stays,2024-05-02T10:00:00Z,,,
""",
    "memberships": """customer_id,program,joined_at,left_at
stays,club,2024-02-01,
""",
    "kpi_targets": """kpi,grain,basis,segment_dimension,segment_value,start_on,due_on,baseline,target
customers_end,month,order,,,2024-02-01,2024-12-31,,10
""",
    "kpi_benchmarks": """kpi,grain,industry,value,source,year
customer_churn_rate,month,retail,0.05,A study,2023
""",
    "acquisition_costs": """month,amount,currency,acquisition_channel
2024-01-01,100.00,EUR,ads
""",
}
LATE_ORDER = """order_id,customer_id,ordered_at,amount,currency,status
9,buys_once,2024-02-21 09:00:00,8.00,EUR,paid
"""


def open_shop(root: Path, *, schedule: str = "0 2 * * *", further: bool = False, months_alone: bool = False) -> Home:
    """Write the shop's settings and what its systems delivered; `further`: of every dataset that there is;
    `months_alone`: without the other grains, for tests that ask nothing of them.
    """
    home = Home(root.resolve())
    home.root.mkdir(parents=True)
    sources = ""
    for dataset in FURTHER if further else ():
        sources += f"  {dataset}: {{type: files, path: landing/{dataset}/*.csv, timezone: Europe/Amsterdam}}\n"
        deliver(home, dataset, f"{dataset}.csv", FURTHER[dataset])
    grains = "grains: [month]\n" if months_alone else ""
    home.settings_file.write_text(f'{SETTINGS}{sources}schedule: {{cron: "{schedule}"}}\n{grains}')
    deliver(home, "orders", "orders.csv", ORDERS)
    deliver(home, "subscriptions", "subscriptions.csv", SUBSCRIPTIONS)
    return home


def deliver(home: Home, dataset: str, name: str, content: str) -> None:
    """Put a file into the landing folder."""
    folder = home.root / "landing" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
