//! SQLite's binary JSON, as <https://sqlite.org/jsonb.html> describes it.
//!
//! An element is a header, with its kind and the size of its payload, and the payload. That is text for numbers and
//! strings, and elements for arrays and objects.

use std::fmt::Write as _;
use std::slice;

use ::serde_json::{Value, map};

/// SQLite refuses deeper nesting.
const DEPTH_MAX: usize = 1000;

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

/// Encodes the value; `None` if it is nested too deeply. The depth takes no room on the stack.
pub(super) fn from_value(value: &Value) -> Option<Vec<u8>> {
    // From the end, so that the size of a payload is known when its header is written.
    let mut reversed = Vec::new();
    let mut open: Vec<Container<'_>> = Vec::new();
    let mut value = value;
    loop {
        let end = reversed.len();
        let left = match value {
            Value::Array(elements) => Some(Left::Elements(elements.iter())),
            Value::Object(members) => Some(Left::Members(members.iter(), None)),
            _ => None,
        };
        match left {
            Some(_) if open.len() == DEPTH_MAX => return None,
            Some(left) => open.push(Container { end, left }),
            None => {
                let kind = push_scalar(&mut reversed, value);
                push_header(&mut reversed, kind, end);
            }
        }
        value = loop {
            let Some(container) = open.last_mut() else {
                reversed.reverse();
                return Some(reversed);
            };
            let (kind, next) = match &mut container.left {
                Left::Elements(elements) => (ARRAY, elements.next_back()),
                Left::Members(members, label) => {
                    if let Some(label) = label.take() {
                        let end = reversed.len();
                        let kind = push_text(&mut reversed, label);
                        push_header(&mut reversed, kind, end);
                    }
                    let member = members.next_back();
                    *label = member.map(|(label, _)| &**label);
                    (OBJECT, member.map(|(_, value)| value))
                }
            };
            if let Some(next) = next {
                break next;
            }
            push_header(&mut reversed, kind, container.end);
            open.pop();
        };
    }
}

/// An array or object that is being encoded.
struct Container<'a> {
    /// Number of bytes that are behind it.
    end: usize,
    left: Left<'a>,
}

/// The values of an array or object that are still to be encoded.
enum Left<'a> {
    Elements(slice::Iter<'a, Value>),
    /// The members, and the label of the one that is being encoded.
    Members(map::Iter<'a>, Option<&'a str>),
}

/// Pushes the payload of a value that contains no other. Returns its kind.
fn push_scalar(reversed: &mut Vec<u8>, value: &Value) -> u8 {
    match value {
        Value::Bool(true) => TRUE,
        Value::Bool(false) => FALSE,
        Value::Number(number) => {
            let text = number.to_string();
            reversed.extend(text.bytes().rev());
            if text.contains(['.', 'e', 'E']) { FLOAT } else { INT }
        }
        Value::String(text) => push_text(reversed, text),
        Value::Null | Value::Array(_) | Value::Object(_) => NULL,
    }
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
    element.write(&mut text)?;
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

    /// Writes the element and all that is in it. The depth of a stored value takes no room on the stack.
    fn write(self, json: &mut String) -> Option<()> {
        // The arrays and objects around the element, and what follows it in them.
        let mut open: Vec<Self> = Vec::new();
        let mut element = self;
        loop {
            match element.kind {
                ARRAY | OBJECT if open.len() == DEPTH_MAX => return None,
                ARRAY | OBJECT => {
                    json.push(if element.kind == ARRAY { '[' } else { '{' });
                    open.push(element);
                }
                _ => element.write_scalar(json)?,
            }
            while let Some(around) = open.pop_if(|around| around.payload.is_empty()) {
                json.push(if around.kind == ARRAY { ']' } else { '}' });
            }
            let Some(around) = open.last_mut() else {
                return Some(());
            };
            json.push_str(if json.ends_with(['[', '{']) { "" } else { "," });
            if around.kind == OBJECT {
                let (label, behind) = Self::read(around.payload)?;
                label.write_text(json)?;
                json.push(':');
                around.payload = behind;
            }
            (element, around.payload) = Self::read(around.payload)?;
        }
    }

    fn write_scalar(&self, json: &mut String) -> Option<()> {
        match self.kind {
            NULL | TRUE | FALSE if !self.payload.is_empty() => return None,
            NULL => json.push_str("null"),
            TRUE => json.push_str("true"),
            FALSE => json.push_str("false"),
            INT | FLOAT => json.push_str(self.number()?),
            INT5 => write_hexadecimal(json, self.text()?)?,
            FLOAT5 => write_float(json, self.number()?),
            TEXT..=TEXTRAW => self.write_text(json)?,
            _ => return None,
        }
        Some(())
    }

    /// Returns a payload of the characters that numbers have, none of which separates values.
    fn number(&self) -> Option<&'a str> {
        let is_of_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        self.text().filter(|text| !text.is_empty() && text.bytes().all(is_of_number))
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
