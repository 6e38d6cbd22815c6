//! Decodes the bytes of an answer once, by the charset that it declares; all other code reads the
//! text.

use std::borrow::Cow;
use std::str;

use encoding_rs::{DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

use super::body::LARGEST;
use super::media_type::{essence, is_json, parameter};
use crate::consumer::sanitize::sanitize;

/// A byte order mark. Some servers write two, one at each stage.
const MARK: char = '\u{feff}';

/// The longest prefix that is searched for an XML declaration, in bytes.
const LONGEST_DECLARATION: usize = 1_024;

/// Bytes that are invalid in their charset, or an unsupported charset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// The charset's decoder rejects the bytes.
    #[error("it cannot be decoded: its bytes are not {0}")]
    Malformed(String),
    /// The charset has no decoder.
    #[error("it cannot be decoded: the charset {0} is not supported")]
    Unsupported(String),
    /// It is longer as UTF-8 than it was as bytes, and over the bound; or as JSON, in which it may be stored.
    #[error(
        "it cannot be decoded: it has more than {LARGEST} bytes as UTF-8, or its control characters as JSON"
    )]
    TooLarge,
}

/// Decodes a body. The charset comes from a byte order mark, else from the `charset` of
/// `Content-Type`, else from the XML declaration (RFC 7303, section 3), else it is UTF-8. JSON is
/// UTF-8 whatever its `charset` says, unless the bytes are not (RFC 8259, 8.1 and 11). The text has
/// no byte order mark.
///
/// ```
/// use feed_core::consumer::decode;
///
/// let text = decode(b"<title>caf\xe9</title>", Some("text/xml; charset=iso-8859-1"))?;
/// assert_eq!(text, "<title>café</title>");
/// # Ok::<_, feed_core::consumer::Undecodable>(())
/// ```
///
/// # Errors
///
/// Returns an error if the bytes do not fit the charset: no character is ever replaced; or if the text is larger than a
/// document may be.
pub fn decode<'a>(body: &'a [u8], content_type: Option<&str>) -> Result<Cow<'a, str>, Undecodable> {
    let (encoding, label) = if content_type.is_some_and(|text| is_json(&essence(text))) {
        match content_type.and_then(|text| parameter(text, "charset")) {
            Some(label) if str::from_utf8(body).is_err() => (encoding_of(&label)?, Some(label)),
            _ => (UTF_8, None),
        }
    } else {
        match byte_order_mark(body)? {
            Some(encoding) => (encoding, None),
            None => declared(body, content_type)?,
        }
    };
    let name = label.as_deref().unwrap_or(encoding.name());
    let malformed = || Undecodable::Malformed(name.to_owned());
    // encoding_rs treats ASCII as windows-1252, as browsers do.
    if label.as_deref().is_some_and(is_ascii) && !body.is_ascii() {
        return Err(malformed());
    }
    if encoding == UTF_8 {
        let text = str::from_utf8(body).map_err(|_| malformed())?;
        check_size(text)?;
        return Ok(text.trim_start_matches(MARK).into());
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let length = decoder.max_utf8_buffer_length_without_replacement(body.len());
    let length = length.ok_or(Undecodable::TooLarge)?;
    // A byte may become three.
    let mut text = String::with_capacity(length.min(LARGEST));
    let (result, _) = decoder.decode_to_string_without_replacement(body, &mut text, true);
    match result {
        DecoderResult::InputEmpty => {}
        DecoderResult::OutputFull => return Err(Undecodable::TooLarge),
        DecoderResult::Malformed(..) => return Err(malformed()),
    }
    check_size(&text)?;
    text.drain(..text.len() - text.trim_start_matches(MARK).len());
    Ok(text.into())
}

/// An event that fails is stored as JSON, which writes a control character in six bytes.
fn check_size(text: &str) -> Result<(), Undecodable> {
    let is_control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let controls = text.bytes().filter(|byte| is_control(byte)).count();
    match text.len() + 5 * controls > LARGEST {
        true => Err(Undecodable::TooLarge),
        false => Ok(()),
    }
}

fn byte_order_mark(body: &[u8]) -> Result<Option<&'static Encoding>, Undecodable> {
    match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            Err(Undecodable::Unsupported("UTF-32".to_owned()))
        }
        [0xef, 0xbb, 0xbf, ..] => Ok(Some(UTF_8)),
        [0xff, 0xfe, ..] => Ok(Some(UTF_16LE)),
        [0xfe, 0xff, ..] => Ok(Some(UTF_16BE)),
        _ => Ok(None),
    }
}

/// Returns the charset that media type and declaration give, and its label.
fn declared(
    body: &[u8],
    content_type: Option<&str>,
) -> Result<(&'static Encoding, Option<String>), Undecodable> {
    let by_header = content_type.and_then(|text| parameter(text, "charset"));
    let by_document = declaration_of(body);
    let Some(label) = by_header.or_else(|| by_document.clone()) else {
        return Ok((wide(body).unwrap_or(UTF_8), None));
    };
    let encoding = encoding_of(&label)?;
    if encoding == UTF_16LE || encoding == UTF_16BE {
        // Without a mark the first character reveals the byte order (XML 1.0, appendix F). If it is
        // one byte, a converter changed the document and kept the declaration.
        return Ok((wide(body).unwrap_or(UTF_8), Some(label)));
    }
    // A server that gives all files one charset may contradict a document that knows better. Text
    // of another charset is hardly ever valid UTF-8 by accident.
    let says_utf_8 = match &by_document {
        Some(label) => encoding_of(label) == Ok(UTF_8),
        None => body.trim_ascii_start().starts_with(b"<"),
    };
    let knows_better = says_utf_8 && encoding != UTF_8 && str::from_utf8(body).is_ok();
    match knows_better {
        true => Ok((UTF_8, None)),
        false => Ok((encoding, Some(label))),
    }
}

fn encoding_of(label: &str) -> Result<&'static Encoding, Undecodable> {
    let encoding = Encoding::for_label(label.as_bytes());
    encoding
        .filter(|encoding| *encoding != REPLACEMENT)
        .ok_or_else(|| Undecodable::Unsupported(sanitize(label)))
}

/// Detects UTF-16 without a byte order mark by a first character in ASCII, as all XML and JSON has.
fn wide(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [0, first, ..] if *first != 0 => Some(UTF_16BE),
        [first, 0, ..] if *first != 0 => Some(UTF_16LE),
        _ => None,
    }
}

fn is_ascii(label: &str) -> bool {
    let labels = ["us-ascii", "ascii", "ansi_x3.4-1968", "iso-ir-6", "csascii"];
    labels.iter().any(|name| label.eq_ignore_ascii_case(name))
}

/// Returns the `encoding` of an XML declaration that ASCII can read.
fn declaration_of(body: &[u8]) -> Option<String> {
    let begin = &body[..body.len().min(LONGEST_DECLARATION)];
    let begin = begin.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = begin.windows(2).position(|two| two == b"?>")?;
    let declaration = str::from_utf8(&begin[..end]).ok()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = value[1..].split(quote).next()?.trim();
    (!label.is_empty()).then(|| label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "Müller";

    fn xml(label: &str) -> String {
        format!("<?xml version='1.0' encoding=\"{label}\"?><a>{NAME}</a>")
    }

    fn utf_16(text: &str, big: bool) -> Vec<u8> {
        let units = text.encode_utf16();
        let bytes = |unit: u16| match big {
            true => unit.to_be_bytes(),
            false => unit.to_le_bytes(),
        };
        units.flat_map(bytes).collect()
    }

    #[test]
    fn a_document_is_decoded_by_its_declaration() {
        for label in [
            "ISO-8859-1",
            "windows-1252",
            "iso-8859-15",
            "UTF-8",
            "GB18030",
            "GBK",
        ] {
            let text = xml(label);
            let encoding = Encoding::for_label(label.as_bytes()).expect("an encoding");
            let (body, ..) = encoding.encode(&text);
            for content_type in [
                None,
                Some("application/atom+xml"),
                Some("text/xml; charset="),
            ] {
                assert_eq!(
                    decode(&body, content_type).as_deref(),
                    Ok(text.as_str()),
                    "{label}"
                );
            }
        }
        // A converter kept the declaration.
        let text = xml("utf-16");
        assert_eq!(decode(text.as_bytes(), None).as_deref(), Ok(text.as_str()));
        let cyrillic = "<?xml version=\"1.0\" encoding='KOI8-R'?><a>\u{418}</a>";
        let (before, _) = cyrillic.split_once('\u{418}').expect("a letter");
        let body = [before.as_bytes(), b"\xe9</a>"].concat();
        assert_eq!(decode(&body, None).as_deref(), Ok(cyrillic));
        for big in [true, false] {
            let text = xml("UTF-16");
            let mark = utf_16("\u{feff}", big);
            for body in [utf_16(&text, big), [mark, utf_16(&text, big)].concat()] {
                assert_eq!(decode(&body, None).as_deref(), Ok(text.as_str()), "{big}");
            }
        }
    }

    #[test]
    fn the_media_type_decides_before_the_declaration_and_a_mark_before_both() {
        let koi = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>";
        let text = decode(koi, Some("text/xml; x=y; Charset=\"koi8-r\"")).expect("text");
        assert!(text.contains('\u{418}'), "{text}");
        let latin = b"<?xml version='1.0'?><a>M\xfcller</a>";
        let text = decode(latin, Some("application/xml;charset=iso-8859-1")).expect("text");
        assert!(text.contains(NAME), "{text}");
        let marked = ["\u{feff}", &xml("iso-8859-1")].concat();
        let text = decode(marked.as_bytes(), Some("text/xml; charset=koi8-r")).expect("text");
        assert_eq!(text, xml("iso-8859-1"));
        let json = "{\"name\":\"Müller\"}";
        let text = decode(json.as_bytes(), Some("application/json;charset=ISO-8859-1"));
        assert_eq!(text.as_deref(), Ok(json));
        let bare = format!("<a>{NAME}</a>");
        let text = decode(bare.as_bytes(), Some("text/xml; charset=iso-8859-1"));
        assert_eq!(text.as_deref(), Ok(bare.as_str()));
        // The server says latin for all files; the document says UTF-8 and is UTF-8.
        let says_utf_8 = xml("utf-8");
        let text = decode(says_utf_8.as_bytes(), Some("text/xml; charset=iso-8859-1"));
        assert_eq!(text.as_deref(), Ok(says_utf_8.as_str()));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused_and_names_the_charset() {
        for (body, content_type, named) in [
            (&b"{\"name\":\"M\xfcller\"}"[..], None, "UTF-8"),
            (b"M\xfcller", Some("text/plain; charset=utf-8"), "utf-8"),
            (b"M\xfcller", Some("text/xml; charset=US-ASCII"), "US-ASCII"),
            (
                b"<?xml version='1.0' encoding='EBCDIC-CP-US'?><a/>",
                None,
                "EBCDIC-CP-US",
            ),
            (b"<a/>", Some("text/xml; charset=utf-7"), "utf-7"),
            (b"\xff\xfe\0\0<\0\0\0", None, "UTF-32"),
            (
                b"<?xml version='1.0' encoding='Shift_JIS'?>\x81",
                None,
                "Shift_JIS",
            ),
            (b"<\0a\0/", None, "UTF-16LE"),
            (b"\xff\xfe{\0}\0", Some("application/json"), "UTF-8"),
        ] {
            let refused = decode(body, content_type).expect_err(named);
            assert!(refused.to_string().contains(named), "{refused}");
        }
    }

    #[test]
    fn a_text_is_bounded_as_it_is_kept_and_not_only_as_it_came() {
        let latin = Some("text/plain; charset=windows-1252");
        for (body, content_type, taken) in [
            (vec![b'y'; LARGEST], None, true),
            (vec![b'y'; LARGEST], latin, true),
            // A euro sign: three bytes in UTF-8.
            (vec![0x80; LARGEST / 3], latin, true),
            (vec![0x80; LARGEST / 3 + 1], latin, false),
            (vec![0x80; LARGEST], latin, false),
            // Six bytes in JSON.
            (vec![1; LARGEST / 6], None, true),
            (vec![1; LARGEST / 6 + 1], None, false),
            (vec![b'\n'; LARGEST], None, true),
        ] {
            let first = body[0];
            let decoded = decode(&body, content_type).map(|text| text.len());
            let is_too_large = decoded == Err(Undecodable::TooLarge);
            assert_eq!(is_too_large, !taken, "{first} {decoded:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        for marks in ["", "\u{feff}", "\u{feff}\u{feff}"] {
            let body = format!("{marks}{{}}");
            assert_eq!(decode(body.as_bytes(), None).as_deref(), Ok("{}"));
        }
    }
}
