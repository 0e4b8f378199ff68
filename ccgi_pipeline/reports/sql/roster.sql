-- The students of every district's roster, as every report begins. One row a student and district.
-- A listing whose SSID is another's student (claims) is left out: nothing about it is in a report.
-- Needs: the tables transcript_student and claims, the view directory (CDSCode, County, District,
-- School), the view district_names (cd, County, District) and race_categories (code, name).
SELECT
    student._sender AS cd,
    student.PrimaryCDSCode AS cds_code,
    district_names.County,
    district_names.District,
    coalesce(directory.School, student.PrimaryCDSCode) AS School,
    student.StateID AS SSID,
    student.GradeLevel AS "Grade Level",
    coalesce(student.Gender, '') AS Gender,
    CASE
        WHEN student.RaceCode2 IS NOT NULL THEN 'Two or More Races'
        ELSE coalesce(race_categories.name, 'Not Reported')
    END AS Race,
    CASE student.HispanicEthnicity
        WHEN true THEN 'Hispanic'
        WHEN false THEN 'Non-Hispanic'
        ELSE 'Not Reported'
    END AS Ethnicity
FROM transcript_student AS student
JOIN district_names ON district_names.cd = student._sender
LEFT JOIN directory ON directory.CDSCode = student.PrimaryCDSCode
LEFT JOIN race_categories ON race_categories.code = student.RaceCode1
ANTI JOIN (SELECT _sender, SSID FROM claims WHERE NOT sees) AS not_seen
    ON not_seen._sender = student._sender AND not_seen.SSID = student.StateID
WHERE student._active
