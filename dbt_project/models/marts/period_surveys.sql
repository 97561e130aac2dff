{{ family_periods('int_survey_flows', ['survey_responses', 'nps_responses', 'nps_promoters', 'nps_detractors', 'csat_responses', 'csat_satisfied']) }}
