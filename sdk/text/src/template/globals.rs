//! Functions that Jinja2 gives to every template: `dict`, `joiner`, `cycler`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::functions::namespace;
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::globals::joiner;

/// Adds them to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_global("dict", Value::from_object(DictMaker));
    environment.add_function("namespace", |given: Option<Value>, named: Kwargs| {
        let pairs = merged(given, &named)?;
        let hidden = |(key, _): &(Value, Value)| key.as_str().is_some_and(|name| name.starts_with('_'));
        match pairs.iter().any(hidden) {
            true => Err(wrong("a namespace holds no names that begin with `_`")),
            false => namespace(Some(ValueOrKwargs::from(Value::from_pairs(pairs)))),
        }
    });
    environment.add_function("joiner", |separator: Option<Value>, named: Kwargs| -> Result<Value, Error> {
        let separator = separator.or(named.get("sep")?);
        named.assert_all_used()?;
        Ok(joiner(separator))
    });
    environment.add_function("cycler", |items: Rest<ValueOrKwargs>| -> Result<Value, Error> {
        let items: Vec<Value> = items.0.into_iter().map(ValueOrKwargs::into_value).collect();
        match items.is_empty() {
            true => Err(wrong("cycler needs at least one item")),
            false => Ok(Value::from_object(Cycler { items, at: AtomicUsize::new(0) })),
        }
    });
}

/// `dict`, which makes objects of objects, of pairs and of named values, or of keys by `dict.fromkeys`.
#[derive(Debug)]
struct DictMaker;

impl Object for DictMaker {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (given, named): (Option<Value>, Kwargs) = from_args(args)?;
        Ok(Value::from_pairs(merged(given, &named)?))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "fromkeys" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (keys, value): (Value, Option<Value>) = from_args(args)?;
        let value = value.unwrap_or_else(|| Value::from(()));
        let keys = keys.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
        Ok(Value::from_pairs(keys.into_iter().map(|key| (key, value.clone()))))
    }
}

/// The pairs of what is given, and then the named values.
fn merged(given: Option<Value>, named: &Kwargs) -> Result<Vec<(Value, Value)>, Error> {
    let mut pairs = given.map_or_else(|| Ok(Vec::new()), |given| pairs_of(&given))?;
    for name in named.args() {
        pairs.push((Value::from(name), named.get(name)?));
    }
    Ok(pairs)
}

/// The pairs of an object, or those that a list holds.
fn pairs_of(given: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let is_object = given.kind() == ValueKind::Map;
    let pair = |item: Result<Value, Error>| -> Result<(Value, Value), Error> {
        let item = item?;
        if is_object {
            return Ok((item.clone(), given.get_item(&item)?));
        }
        let parts = item.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
        <[Value; 2]>::try_from(parts).map(|[key, value]| (key, value)).map_err(|_| wrong("dict needs pairs of a key and a value"))
    };
    if given.is_undefined() || given.is_none() {
        return Err(wrong("dict needs an object or pairs"));
    }
    given.try_iter()?.checked().map(pair).collect()
}

/// `cycler(..)`, with `next()`, `reset()` and `current`.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Cycler {
    fn current(&self) -> Value {
        self.items.get(self.at.load(Ordering::Relaxed)).cloned().unwrap_or_default()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.current())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let () = from_args(args)?;
        match method {
            "next" => {
                let item = self.current();
                self.at.store((self.at.load(Ordering::Relaxed) + 1) % self.items.len(), Ordering::Relaxed);
                Ok(item)
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn wrong(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}
