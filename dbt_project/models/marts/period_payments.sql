{{ family_periods('int_payment_flows', ['invoices_attempted', 'invoices_failed', 'invoices_recovered']) }}
