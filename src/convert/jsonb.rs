//! SQLite's binary JSON, as <https://sqlite.org/jsonb.html> describes it.
//!
//! An element is a header, with its kind and the size of its payload, and the payload. That is text for numbers and
//! strings, and elements for arrays and objects.

use std::fmt::Write as _;

use ::serde_json::Value;

/// SQLite refuses deeper nesting.
const DEPTH_MAX: u32 = 1000;

const NULL: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const INT: u8 = 3;
/// Hexadecimal.
const INT5: u8 = 4;
const FLOAT: u8 = 5;
/// Without digits on one side of the point.
const FLOAT5: u8 = 6;
/// Without characters that JSON escapes.
const TEXT: u8 = 7;
/// With escapes of JSON.
const TEXTJ: u8 = 8;
/// With escapes of JSON5.
const TEXT5: u8 = 9;
/// Not escaped.
const TEXTRAW: u8 = 10;
const ARRAY: u8 = 11;
const OBJECT: u8 = 12;

/// Encodes the value; `None` if it is nested too deeply.
pub(super) fn from_value(value: &Value) -> Option<Vec<u8>> {
    // From the end, so that the size of a payload is known when its header is written.
    let mut reversed = Vec::new();
    push_value(&mut reversed, value, 0)?;
    reversed.reverse();
    Some(reversed)
}

fn push_value(reversed: &mut Vec<u8>, value: &Value, depth: u32) -> Option<()> {
    let end = reversed.len();
    let kind = match value {
        Value::Null => NULL,
        Value::Bool(true) => TRUE,
        Value::Bool(false) => FALSE,
        Value::Number(number) => {
            let text = number.to_string();
            reversed.extend(text.bytes().rev());
            if text.contains(['.', 'e', 'E']) { FLOAT } else { INT }
        }
        Value::String(text) => push_text(reversed, text),
        Value::Array(_) | Value::Object(_) if depth == DEPTH_MAX => return None,
        Value::Array(elements) => {
            for element in elements.iter().rev() {
                push_value(reversed, element, depth + 1)?;
            }
            ARRAY
        }
        Value::Object(members) => {
            for (label, member) in members.iter().rev() {
                push_value(reversed, member, depth + 1)?;
                let label_end = reversed.len();
                let kind = push_text(reversed, label);
                push_header(reversed, kind, label_end);
            }
            OBJECT
        }
    };
    push_header(reversed, kind, end);
    Some(())
}

fn push_text(reversed: &mut Vec<u8>, text: &str) -> u8 {
    reversed.extend(text.bytes().rev());
    if text.bytes().all(is_plain) { TEXT } else { TEXTRAW }
}

/// Writes the header of the payload that was written since `end`.
fn push_header(reversed: &mut Vec<u8>, kind: u8, end: usize) {
    let size = reversed.len() - end;
    let bytes = size.to_be_bytes();
    let width = match size {
        0..=11 => 0,
        12..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => bytes.len(),
    };
    reversed.extend(bytes.iter().rev().take(width));
    reversed.push(match width {
        0 => bytes[bytes.len() - 1] << 4 | kind,
        1 => 0xc0 | kind,
        2 => 0xd0 | kind,
        4 => 0xe0 | kind,
        _ => 0xf0 | kind,
    });
}

/// Whether the byte is the same in a text and in the JSON of that text.
fn is_plain(byte: u8) -> bool {
    !matches!(byte, 0..=0x1f | b'"' | b'\\')
}

/// Translates the bytes to JSON; `None` if they are malformed.
///
/// What comes out is JSON, apart from the forms of numbers and of escapes, whose characters alone are checked.
pub(super) fn to_text(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 4);
    let (element, rest) = Element::read(bytes)?;
    element.write(&mut text, 0)?;
    rest.is_empty().then_some(text)
}

struct Element<'a> {
    kind: u8,
    payload: &'a [u8],
}

impl<'a> Element<'a> {
    /// Returns the first element and what is behind it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&first, rest) = bytes.split_first()?;
        let width = match first >> 4 {
            12 => 1,
            13 => 2,
            14 => 4,
            15 => 8,
            _ => 0,
        };
        let (digits, rest) = rest.split_at_checked(width)?;
        let size = match width {
            0 => u64::from(first >> 4),
            _ => digits.iter().fold(0, |size, digit| size << 8 | u64::from(*digit)),
        };
        let (payload, rest) = rest.split_at_checked(size.try_into().ok()?)?;
        Some((Self { kind: first & 0x0f, payload }, rest))
    }

    fn text(&self) -> Option<&'a str> {
        str::from_utf8(self.payload).ok()
    }

    fn write(&self, json: &mut String, depth: u32) -> Option<()> {
        match self.kind {
            NULL | TRUE | FALSE if !self.payload.is_empty() => return None,
            NULL => json.push_str("null"),
            TRUE => json.push_str("true"),
            FALSE => json.push_str("false"),
            INT | FLOAT => json.push_str(self.number()?),
            INT5 => write_hexadecimal(json, self.text()?)?,
            FLOAT5 => write_float(json, self.number()?),
            TEXT..=TEXTRAW => self.write_text(json)?,
            ARRAY | OBJECT if depth == DEPTH_MAX => return None,
            ARRAY => {
                json.push('[');
                let mut rest = self.payload;
                while !rest.is_empty() {
                    let (element, behind) = Self::read(rest)?;
                    element.write(json, depth + 1)?;
                    rest = behind;
                    json.push_str(if rest.is_empty() { "" } else { "," });
                }
                json.push(']');
            }
            OBJECT => {
                json.push('{');
                let mut rest = self.payload;
                while !rest.is_empty() {
                    let (label, behind) = Self::read(rest)?;
                    label.write_text(json)?;
                    json.push(':');
                    let (member, behind) = Self::read(behind)?;
                    member.write(json, depth + 1)?;
                    rest = behind;
                    json.push_str(if rest.is_empty() { "" } else { "," });
                }
                json.push('}');
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns a payload of the characters that numbers have, none of which separates values.
    fn number(&self) -> Option<&'a str> {
        let is_of_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        self.text().filter(|text| text.bytes().all(is_of_number))
    }

    fn write_text(&self, json: &mut String) -> Option<()> {
        let text = self.text()?;
        match self.kind {
            TEXT if !text.bytes().all(is_plain) => return None,
            TEXT => {
                json.push('"');
                json.push_str(text);
                json.push('"');
            }
            TEXTJ => write_escaped(json, text)?,
            TEXT5 => write_json5(json, text)?,
            TEXTRAW => json.push_str(&::serde_json::to_string(text).ok()?),
            _ => return None,
        }
        Some(())
    }
}

/// Writes `0x1F` in decimal.
fn write_hexadecimal(json: &mut String, text: &str) -> Option<()> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    let number = u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
    write!(json, "{sign}{number}").ok()
}

/// Writes a number with the digits that JSON demands around the point.
fn write_float(json: &mut String, text: &str) {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    json.push_str(sign);
    json.push_str(if digits.starts_with('.') { "0" } else { "" });
    for (at, c) in digits.char_indices() {
        json.push(c);
        let has_fraction = digits.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
        json.push_str(if c == '.' && !has_fraction { "0" } else { "" });
    }
}

/// Writes a text whose escapes are those of JSON.
fn write_escaped(json: &mut String, text: &str) -> Option<()> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_sound = if byte == b'\\' { bytes.next().is_some() } else { is_plain(byte) };
        if !is_sound {
            return None;
        }
    }
    json.push('"');
    json.push_str(text);
    json.push('"');
    Some(())
}

/// Writes a text with escapes of JSON5 with those of JSON.
fn write_json5(json: &mut String, text: &str) -> Option<()> {
    json.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => match chars.next()? {
                '\'' => json.push('\''),
                'v' => json.push_str("\\u000b"),
                '0' if !chars.peek().is_some_and(char::is_ascii_digit) => json.push_str("\\u0000"),
                'x' => {
                    json.push_str("\\u00");
                    for _ in 0..2 {
                        json.push(chars.next().filter(char::is_ascii_hexdigit)?);
                    }
                }
                // The end of a line, continued on the next.
                '\r' => drop(chars.next_if_eq(&'\n')),
                '\n' | '\u{2028}' | '\u{2029}' => {}
                escaped @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' | 'u') => json.extend(['\\', escaped]),
                _ => return None,
            },
            '\0'..='\x1f' => write!(json, "\\u{:04x}", u32::from(c)).ok()?,
            c => json.push(c),
        }
    }
    json.push('"');
    Some(())
}
