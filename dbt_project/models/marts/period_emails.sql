{{ family_periods('int_email_flows', ['emails_delivered', 'emails_opened', 'emails_opened_raw', 'emails_clicked', 'emails_opened_or_clicked']) }}
