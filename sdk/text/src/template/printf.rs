//! Python's `format % values`.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::methods::MAX_WIDTH;
use super::text;

/// One field of a format.
#[derive(Default)]
struct Field<'a> {
    key: Option<&'a str>,
    left: bool,
    zeros: bool,
    sign: Option<char>,
    hex_prefix: bool,
    width: usize,
    precision: Option<usize>,
}

/// `format % values`: a tuple's items stand for the fields in order, an object's values for those that name them.
pub(super) fn format(format: &str, values: &Value) -> Result<String, Error> {
    let mut items = if values.is_tuple() { values.try_iter()?.collect::<Vec<_>>() } else { vec![values.clone()] }.into_iter();
    let named = values.kind() == ValueKind::Map;
    let (mut out, mut rest) = (String::new(), format);
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        let (field, conversion, behind) = field(behind, &mut items)?;
        rest = behind;
        if conversion == '%' {
            out.push('%');
            continue;
        }
        let value = match field.key {
            Some(key) if named => values.get_attr(key)?,
            Some(_) => return Err(refused("a format that names its fields needs an object")),
            None => items.next().ok_or_else(|| refused("a format has more fields than there are values"))?,
        };
        out.push_str(&field.written(conversion, &value)?);
        text::check(&out, 0)?;
    }
    if !named && items.next().is_some() {
        return Err(refused("not all values were used by the format"));
    }
    Ok(out + rest)
}

/// The field at the start of `text`, its conversion, and what is behind it.
fn field<'a>(text: &'a str, items: &mut impl Iterator<Item = Value>) -> Result<(Field<'a>, char, &'a str), Error> {
    let (mut field, mut rest) = (Field::default(), text);
    if let Some(named) = rest.strip_prefix('(') {
        let (key, behind) = named.split_once(')').ok_or_else(|| refused("a format ends inside the name of a field"))?;
        (field.key, rest) = (Some(key), behind);
    }
    while let Some(flag) = rest.chars().next().filter(|c| "-+ 0#".contains(*c)) {
        match flag {
            '-' => field.left = true,
            '0' => field.zeros = true,
            '#' => field.hex_prefix = true,
            sign => field.sign = if field.sign == Some('+') { field.sign } else { Some(sign) },
        }
        rest = &rest[1..];
    }
    (field.width, rest) = size(rest, items)?;
    if let Some(behind) = rest.strip_prefix('.') {
        let (precision, behind) = size(behind, items)?;
        (field.precision, rest) = (Some(precision), behind);
    }
    rest = rest.trim_start_matches(['h', 'l', 'L']);
    let conversion = rest.chars().next().ok_or_else(|| refused("a format ends inside a field"))?;
    Ok((field, conversion, &rest[conversion.len_utf8()..]))
}

/// A width or precision, which `*` takes from the values.
fn size<'a>(text: &'a str, items: &mut impl Iterator<Item = Value>) -> Result<(usize, &'a str), Error> {
    let (size, rest) = match text.strip_prefix('*') {
        Some(rest) => (items.next().and_then(|item| usize::try_from(item).ok()).unwrap_or(usize::MAX), rest),
        None => {
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            (if digits == 0 { 0 } else { text[..digits].parse().unwrap_or(usize::MAX) }, &text[digits..])
        }
    };
    if size > MAX_WIDTH { Err(refused("the text would be made too wide")) } else { Ok((size, rest)) }
}

impl Field<'_> {
    fn written(&self, conversion: char, value: &Value) -> Result<String, Error> {
        let (sign, body, numeric) = match conversion {
            's' => (String::new(), self.cut(text::of(value)?), false),
            'r' | 'a' => (String::new(), self.cut(text::repr(value)?), false),
            'c' => (String::new(), character(value)?, false),
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => self.whole(conversion, whole(value, conversion)?),
            'f' | 'F' | 'e' | 'E' => self.float(conversion, float(value)?),
            other => return Err(refused(&format!("the conversion `%{other}` is not known"))),
        };
        let missing = self.width.saturating_sub(sign.chars().count() + body.chars().count());
        Ok(match (self.left, self.zeros && numeric) {
            (true, _) => format!("{sign}{body}{}", " ".repeat(missing)),
            (_, true) => format!("{sign}{}{body}", "0".repeat(missing)),
            _ => format!("{}{sign}{body}", " ".repeat(missing)),
        })
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text,
        }
    }

    fn sign(&self, negative: bool) -> String {
        if negative { "-".to_owned() } else { self.sign.map(String::from).unwrap_or_default() }
    }

    fn whole(&self, conversion: char, number: i128) -> (String, String, bool) {
        let digits = number.unsigned_abs();
        let (prefix, digits) = match conversion {
            'x' => ("0x", format!("{digits:x}")),
            'X' => ("0X", format!("{digits:X}")),
            'o' => ("0o", format!("{digits:o}")),
            _ => ("", digits.to_string()),
        };
        let zeros = self.precision.unwrap_or(0).saturating_sub(digits.len());
        let sign = self.sign(number < 0) + if self.hex_prefix { prefix } else { "" };
        (sign, "0".repeat(zeros) + &digits, true)
    }

    fn float(&self, conversion: char, number: f64) -> (String, String, bool) {
        let (size, sign) = (number.abs(), self.sign(number.is_sign_negative() && !number.is_nan()));
        if !number.is_finite() {
            let body = if number.is_nan() { "nan" } else { "inf" };
            return (sign, if conversion.is_uppercase() { body.to_uppercase() } else { body.to_owned() }, false);
        }
        let precision = self.precision.unwrap_or(6);
        if conversion.eq_ignore_ascii_case(&'f') {
            return (sign, format!("{size:.precision$}"), true);
        }
        let written = format!("{size:.precision$e}");
        let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let body = format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
        (sign, if conversion == 'E' { body.to_uppercase() } else { body }, true)
    }
}

/// The whole number that a value is; `%d` also takes what a float has before its point.
fn whole(value: &Value, conversion: char) -> Result<i128, Error> {
    if value.kind() == ValueKind::Bool {
        return Ok(i128::from(value.is_true()));
    }
    if let Ok(number) = i128::try_from(value.clone()).map_err(drop).and_then(|n| if value.is_integer() { Ok(n) } else { Err(()) })
    {
        return Ok(number);
    }
    match f64::try_from(value.clone()) {
        #[allow(clippy::cast_possible_truncation)]
        Ok(number) if value.is_number() && number.is_finite() && !"xXo".contains(conversion) => Ok(number.trunc() as i128),
        _ => Err(refused(&format!("`%{conversion}` needs a number, {} was given", value.kind()))),
    }
}

fn float(value: &Value) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()),
        other => Err(refused(&format!("a number is needed, {other} was given"))),
    }
}

fn character(value: &Value) -> Result<String, Error> {
    let given = value.as_str().filter(|text| text.chars().count() == 1).map(str::to_owned);
    let code = || value.as_i64().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32).map(String::from);
    given.or_else(code).ok_or_else(|| refused("`%c` needs one character"))
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_owned())
}
