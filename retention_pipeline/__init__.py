"""A nightly batch pipeline that computes customer-retention KPIs people can trust."""
