-- The outbox refuses a number that readers cannot take, as `outbox::append` does: no reader of JSON would get the
-- event. And a traceparent whose ids are zero, which is none.
--
-- "Expand": a program that appends by `outbox::append` is refused nothing that it was not refused before.

-- As in 0005, with these two.
CREATE OR REPLACE FUNCTION feed_accepts(event_type TEXT, subject TEXT, happened TIMESTAMPTZ, title TEXT, summary TEXT,
                             link TEXT, data TEXT, traceparent TEXT)
RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- As Unicode has it.
    white_space_around CONSTANT TEXT :=
        '^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$';
    refused TEXT := CASE
        WHEN octet_length(event_type) NOT BETWEEN 1 AND 2000 OR octet_length(subject) NOT BETWEEN 1 AND 2000
            THEN 'its type or subject does not have 1 to 2000 bytes'
        WHEN event_type ~ white_space_around OR subject ~ white_space_around
            THEN 'its type or subject has white space around it'
        WHEN happened < '0001-01-01 00:00:00+00' OR happened >= '10000-01-01 00:00:00+00'
            THEN 'its time is not in the years 1 to 9999'
        WHEN GREATEST(octet_length(title), octet_length(summary), octet_length(link)) > 2000
            THEN 'its title, summary or link has more than 2000 bytes'
        WHEN traceparent NOT LIKE '00-________________________________-________________-__'
             OR traceparent ~ '[^-0-9a-f]|-0{32}-|-0{16}-'
            THEN 'its traceparent is not one of version 00'
        WHEN octet_length(data) > 1048576
            THEN 'its data has more than 1 MiB'
        -- jsonb refuses U+0000, which JSON allows.
        WHEN data::json IS NULL
             OR position('\u' IN data) > 0 AND replace(data, '\u0000', '\u0001')::jsonb IS NULL
            THEN 'its data is not JSON'
        -- Counted first: few have so many arrays and objects, and even fewer within each other.
        WHEN 2 * octet_length(data) - octet_length(replace(data, '[', '')) - octet_length(replace(data, '{', ''))
                 > 100
             AND jsonb_path_exists(replace(data, '\u0000', '\u0001')::jsonb,
                     'strict $.**{100} ? (@.type() == "array" || @.type() == "object")')
            THEN 'its data has more than 100 levels'
    END;
    without_strings TEXT;
BEGIN
    -- Few texts have so many digits in a row, or what looks like such an exponent.
    IF refused IS NULL AND data ~ '[eE][-+]?[0-9]{3}|[0-9]{250}' THEN
        without_strings := regexp_replace(data, '"([^"\\]|\\.)*"', '""', 'g');
        refused := CASE
            WHEN without_strings ~ '([-+.0-9eE]{143}){7}|[eE][-+]?0*(?!1000($|[^0-9]))[1-9][0-9]{3}'
                 OR EXISTS (
                     SELECT FROM regexp_matches(without_strings, '[0-9][-+.0-9eE]*', 'g') AS number
                     WHERE number[1]::numeric >= 1.797693134862315808e308)
                THEN 'its data has a number that no double can hold, or that has more than 1000 digits'
        END;
    END IF;
    IF refused IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = 'the event cannot be published: ' || refused;
    END IF;
    RETURN TRUE;
END $$;
