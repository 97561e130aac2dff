"""The made-up company as a home folder: settings.yaml and what its systems deliver into landing/.

Assembly only: people.py invents the customers, shop.py their orders and plans.py their subscriptions; payments.py,
activity.py and contacts.py what they pay, do and say, goals.py what the company wants and spends; order_files.py,
billing.py and delivery.py the files in which those arrive: late, corrected, some broken.
"""

from datetime import date
from importlib import resources
from pathlib import Path

import numpy as np

from retention_pipeline.demo.activity import deliver_events, make_events
from retention_pipeline.demo.billing import deliver_phases, make_phases
from retention_pipeline.demo.contacts import (
    deliver_answers,
    deliver_newsletters,
    deliver_tickets,
    make_answers,
    make_tickets,
)
from retention_pipeline.demo.delivery import Landing
from retention_pipeline.demo.goals import deliver_goals
from retention_pipeline.demo.order_files import deliver_orders
from retention_pipeline.demo.payments import deliver_payments, make_invoices
from retention_pipeline.demo.people import deliver_people, make_people
from retention_pipeline.demo.rates import deliver_rates, make_rates
from retention_pipeline.demo.shop import make_orders

# What the settings say of an engine.
ENGINES = {
    "duckdb": "",
    "spark": """
# Facts and period tables are made by Spark, in schemas retention_g1, retention_g2, ...; the rest is as on DuckDB.
engine: spark
spark:
  remote: {env: SPARK_REMOTE}      # the address of a Spark Connect server: sc://localhost:15002
""",
}


def make_company(
    home: Path, *, customers: int = 20_000, months: int = 36, as_of: date, seed: int = 7, engine: str = "duckdb"
) -> None:
    """Write settings.yaml and landing/ of a made-up company into `home`; the same arguments give the same bytes.

    The company has `customers` customers, opened `months` months before the month of `as_of`, and nothing happened on
    or after `as_of` (a business day in Europe/Amsterdam). What its systems will deliver next is in arrives_later/.
    `engine`: what its settings say of it; a server of Spark is the one that SPARK_REMOTE names.
    Raises FileExistsError where `home` already has a settings.yaml.
    """
    settings_file = home / "settings.yaml"
    if settings_file.exists():
        raise FileExistsError(f"{settings_file} is already there; the sample company is only made in an empty folder")
    home.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    first_month = (np.datetime64(as_of, "M") - months).astype("datetime64[D]")
    until = np.datetime64(as_of, "D")
    landing = Landing(home)
    people = make_people(generator, customers, first_month, until)
    deliver_people(generator, landing, people, until)
    orders, phases = make_orders(generator, people, until), make_phases(seed, people, until)
    deliver_orders(landing, orders, first_month, until)
    deliver_phases(landing, phases, first_month, until)
    deliver_rates(landing, make_rates(generator, first_month, until))
    deliver_payments(landing, make_invoices(generator, phases, until), until)
    deliver_events(landing, make_events(generator, phases, customers, until))
    deliver_newsletters(generator, landing, people, until)
    tickets = make_tickets(generator, orders, until)
    deliver_tickets(landing, tickets)
    deliver_answers(landing, make_answers(generator, people, phases, tickets, until))
    deliver_goals(generator, landing, people, until)
    # Last: a home with settings is complete, so an interrupted start is simply made again.
    text = resources.files("retention_pipeline.demo").joinpath("company_settings.yaml").read_text(encoding="utf-8")
    settings_file.write_text(text + ENGINES[engine], encoding="utf-8")
