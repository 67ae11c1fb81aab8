//! `strftime_now`: the date and time for templates, formatted as Python's `datetime.strftime` does in the C locale.

use jiff::fmt::strtime;
use minijinja::{Error, ErrorKind, Value};

use crate::DateTime;

/// The function that templates call, for a clock that stands at `now`.
pub(super) fn strftime_now(now: DateTime) -> Value {
    Value::from_function(move |format: &str| -> Result<String, Error> {
        strtime::format(python_format(format, now), now).map_err(|error| {
            Error::new(ErrorKind::InvalidOperation, format!("strftime_now cannot format the date as `{format}`: {error}"))
        })
    })
}

/// The format with those directives spelled out that Python sees differently: the C locale's own forms, microseconds, and
/// the time zone, which a Python date without one renders as nothing.
fn python_format(format: &str, now: DateTime) -> String {
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.peek() {
            Some('c') => out.push_str("%a %b %e %H:%M:%S %Y"),
            Some('x') => out.push_str("%m/%d/%y"),
            Some('r') => out.push_str("%I:%M:%S %p"),
            Some('X') => out.push_str("%H:%M:%S"),
            Some('f') => out.push_str(&format!("{:06}", now.subsec_nanosecond() / 1000)),
            Some('Z' | 'z') => {}
            Some('%') => out.push_str("%%"),
            None => out.push_str("%%"),
            Some(_) => {
                out.push('%');
                continue;
            }
        }
        chars.next();
    }
    out
}
