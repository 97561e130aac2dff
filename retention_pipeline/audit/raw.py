"""What must hold in raw as a whole: keys that stand once, values that are there. The loader keeps to it load by load,
so nights do not look again; `retention check` does.
"""

from collections.abc import Mapping, Set

from retention_pipeline.audit.shapes import Rule
from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.contracts.columns import Contract

KEYS, KEY_COLUMNS = "customer_keys", ("customer_id", "customer_key")


def raw_rules(columns: Mapping[str, Set[str]]) -> list[Rule]:
    """The rules of the datasets that are there and of the registry of integer keys; `columns`: those of each table."""
    contracts = [contract for contract in CONTRACTS.values() if contract.dataset in columns]
    rules = [rule for one in contracts for rule in (_unique(one), _complete(one, columns[one.dataset]))]
    if KEYS in columns:
        rules += [_one_to_one(*KEY_COLUMNS), _one_to_one(*KEY_COLUMNS[::-1])]
    return rules


def _unique(contract: Contract) -> Rule:
    key = ", ".join(contract.key_columns)
    return Rule(
        f"raw_{contract.dataset}_unique",
        f"raw.{contract.dataset} has one row per {key}",
        f"select {key}, count(*) as rows_of_key from raw.{contract.dataset} group by {key} having count(*) > 1",
        (contract.dataset,),
    )


def _complete(contract: Contract, present: Set[str]) -> Rule:
    """Required columns have values, and so have the integer keys of customers that are named."""
    required = [column.name for column in contract.columns if column.required and column.name in present]
    keys = [pair for pair in contract.customer_columns.items() if present >= set(pair)]
    missing = [f"{name} is null" for name in required]
    missing += [f"({key} is null and {column} is not null)" for column, key in keys]
    shown = dict.fromkeys((*contract.key, *required, *(name for pair in keys for name in pair)))
    return Rule(
        f"raw_{contract.dataset}_complete",
        f"in raw.{contract.dataset} nothing is null that must be there",
        f"select {', '.join(shown)} from raw.{contract.dataset} where {' or '.join(missing) or 'false'}",
        (contract.dataset,),
    )


def _one_to_one(column: str, other: str) -> Rule:
    return Rule(
        f"raw_customer_keys_unique_{column}",
        f"raw.{KEYS} has one row per {column}, and neither column is null",
        f"select {column}, count(*) as rows_of_key, min({other}) as one, max({other}) as another"
        f" from raw.{KEYS} group by {column} having count(*) > 1 or {column} is null or count({other}) = 0",
        (KEYS,),
    )
