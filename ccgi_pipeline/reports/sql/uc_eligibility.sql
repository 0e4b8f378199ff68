-- Each student's way to UC, as this project estimates it from the course history.
SELECT
    roster.*,
    eligibility.status AS "UC Eligibility (Estimate)",
    eligibility.average AS "UC GPA",
    years_in_words(eligibility.years) AS "A-G Years Completed",
    years_in_words(
        eligibility.in_progress_A + eligibility.in_progress_B + eligibility.in_progress_C
        + eligibility.in_progress_D + eligibility.in_progress_E + eligibility.in_progress_F
        + eligibility.in_progress_G
    ) AS "A-G Years In Progress",
    areas_not_complete(eligibility) AS "Areas Not Complete",
    array_to_string(eligibility.reasons, ' ') AS "Reasons"
FROM roster
JOIN eligibility
    ON eligibility._sender = roster.cd AND eligibility.SSID = roster.SSID
    AND eligibility.system = 'UC'
