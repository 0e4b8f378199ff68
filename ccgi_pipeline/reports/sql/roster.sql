-- The students of every district's roster, as every report begins. One row a student and district.
-- A listing whose SSID is another's student (claims) is left out: nothing about it is in a report.
-- Needs: the tables transcript_student and claims, the view directory (CDSCode, County, District,
-- School), the view district_names (cd, County, District) and race_categories (code, name, in_group).
WITH races AS (
    SELECT
        _sender, StateID,
        CASE
            WHEN count(DISTINCT in_group) > 1 THEN 'Two or More Races'
            WHEN count(DISTINCT name) > 1 THEN any_value(in_group)
            ELSE any_value(name)
        END AS Race
    FROM (
        SELECT
            _sender, StateID,
            unnest([RaceCode1, RaceCode2, RaceCode3, RaceCode4, RaceCode5]) AS code
        FROM transcript_student WHERE _active
    )
    JOIN race_categories USING (code)
    GROUP BY ALL
),

listed AS (
    SELECT
        student._sender AS cd,
        student.PrimaryCDSCode AS cds_code,
        district_names.County,
        district_names.District,
        coalesce(directory.School, student.PrimaryCDSCode) AS School,
        student.StateID AS SSID,
        student.GradeLevel AS "Grade Level",
        coalesce(student.Gender, 'Not Reported') AS Gender,
        coalesce(races.Race, 'Not Reported') AS Race,
        CASE student.HispanicEthnicity
            WHEN true THEN 'Hispanic'
            WHEN false THEN 'Non-Hispanic'
            ELSE 'Not Reported'
        END AS Ethnicity
    FROM transcript_student AS student
    JOIN district_names ON district_names.cd = student._sender
    LEFT JOIN directory ON directory.CDSCode = student.PrimaryCDSCode
    LEFT JOIN races ON races._sender = student._sender AND races.StateID = student.StateID
    ANTI JOIN (SELECT _sender, SSID FROM claims WHERE NOT sees) AS not_seen
        ON not_seen._sender = student._sender AND not_seen.SSID = student.StateID
    WHERE student._active
)

SELECT
    * REPLACE (
        -- Two schools of one name in a district are told apart by their codes.
        CASE
            WHEN min(cds_code) OVER of_one_name <> max(cds_code) OVER of_one_name
                THEN School || ' (' || right(cds_code, 7) || ')'
            ELSE School
        END AS School
    )
FROM listed
WINDOW of_one_name AS (PARTITION BY cd, School)
