-- The outbox refuses what readers cannot take, as `outbox::append` does: a number that no double holds, since no reader of
-- JSON would get the event; a type or subject that is another one in Atom; a traceparent whose ids are zero.
--
-- "Expand": a program that appends by `outbox::append` is refused nothing that it was not refused before.

-- As in 0005, with these three.
CREATE OR REPLACE FUNCTION feed_accepts(event_type TEXT, subject TEXT, happened TIMESTAMPTZ, title TEXT, summary TEXT,
                             link TEXT, data TEXT, traceparent TEXT)
RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- As Unicode has it. All backslashes are in E'': the sessions of some applications read them so everywhere.
    white_space_around CONSTANT TEXT :=
        E'^[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]|[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]$';
    refused TEXT := CASE
        WHEN octet_length(event_type) NOT BETWEEN 1 AND 2000 OR octet_length(subject) NOT BETWEEN 1 AND 2000
            THEN 'its type or subject does not have 1 to 2000 bytes'
        WHEN event_type ~ white_space_around OR subject ~ white_space_around
            THEN 'its type or subject has white space around it'
        WHEN event_type || subject ~ E'[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\ufffe\\uffff]'
            THEN 'its type or subject has a character that XML does not have'
        WHEN happened < '0001-01-01 00:00:00+00' OR happened >= '10000-01-01 00:00:00+00'
            THEN 'its time is not in the years 1 to 9999'
        WHEN GREATEST(octet_length(title), octet_length(summary), octet_length(link)) > 2000
            THEN 'its title, summary or link has more than 2000 bytes'
        WHEN traceparent NOT LIKE '00-________________________________-________________-__'
             OR traceparent ~ '[^-0-9a-f]|-0{32}-|-0{16}-'
            THEN 'its traceparent is not one of version 00'
        WHEN octet_length(data) > 1048576
            THEN 'its data has more than 1 MiB'
        WHEN data::json IS NULL
            THEN 'its data is not JSON'
    END;
    without_strings TEXT;
BEGIN
    -- Few texts have a number with a long exponent, or so many digits.
    IF refused IS NULL
       AND data ~ E'(^|[,:\\[\\s])-?[0-9][0-9.]*[eE][-+]?[0-9]{2}|(^|[,:\\[\\s])-?[0-9.]{250}'
    THEN
        without_strings := regexp_replace(data, E'"([^"\\\\]|\\\\.)*"', '""', 'g');
        IF EXISTS (
            SELECT FROM regexp_matches(without_strings, '-?[0-9][-+.0-9eE]*', 'g') AS number
            WHERE CASE
                WHEN length(number[1]) > 1000 THEN TRUE
                WHEN abs(COALESCE(substring(number[1] FROM '[eE](.+)$'), '0')::numeric) > 1000 THEN TRUE
                ELSE abs(number[1]::numeric) > 1.797693134862315807e308
            END)
        THEN
            refused := 'its data has a number that no double can hold, or that has more than 1000 digits';
        END IF;
    END IF;
    -- What follows needs jsonb, which refuses U+0000 and numbers that are longer; JSON allows them.
    IF refused IS NULL THEN
        refused := CASE
            WHEN position(E'\\u' IN data) > 0 AND replace(data, E'\\u0000', E'\\u0001')::jsonb IS NULL
                THEN 'its data is not JSON'
            -- Counted first: few have so many arrays and objects, and even fewer within each other.
            WHEN 2 * octet_length(data) - octet_length(replace(data, '[', '')) - octet_length(replace(data, '{', ''))
                     > 100
                 AND jsonb_path_exists(replace(data, E'\\u0000', E'\\u0001')::jsonb,
                         'strict $.**{100} ? (@.type() == "array" || @.type() == "object")')
                THEN 'its data has more than 100 levels'
        END;
    END IF;
    IF refused IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = 'the event cannot be published: ' || refused;
    END IF;
    RETURN TRUE;
END $$;
