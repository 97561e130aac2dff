with ledger as (
    select * from {{ source('raw', 'ledger') }}
    where status = 'loaded'
)

select
    load_id,
    dataset,
    {{ json_text('drift', 'given') }} as given_columns
from ledger
