//! Checks of the values that a template keeps in variables.
//!
//! Values grow by being kept: `{% set x = [x] %}` in a loop nests one deeper with every turn, and a namespace that is put into
//! itself has no bottom at all. The engine walks values by recursion, so what is kept passes a filter, which
//! [`super::source`] writes behind every assignment. It refuses what is nested too deeply, and namespaces in namespaces. Where
//! an operator or filter gave something that is computed anew with each walk, from values that may have changed since, the
//! list or object is kept that it stands for now, as in Python.

use std::sync::LazyLock;

use minijinja::value::{DynObject, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::text::MAX_DEPTH;

/// The filter behind assignments to a variable.
pub(super) const KEPT: &str = "kinglet_kept";

/// The filter behind assignments to an attribute, which only namespaces have: they are all that can change and so could come
/// to hold themselves.
pub(super) const KEPT_IN_NAMESPACE: &str = "kinglet_kept_in_namespace";

/// Values that are looked at for one unit of fuel.
const VALUES_PER_FUEL: usize = 64;

/// Adds the filters to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter(KEPT, |state: &State<'_, '_>, value: Value| keep(state, value, false));
    environment.add_filter(KEPT_IN_NAMESPACE, |state: &State<'_, '_>, value: Value| keep(state, value, true));
}

fn keep(state: &State<'_, '_>, value: Value, in_namespace: bool) -> Result<Value, Error> {
    let settled = Walk { state, in_namespace, looked_at: 0 }.settled(&value, 0)?;
    Ok(settled.unwrap_or(value))
}

/// The types of lists, objects and tuples that hold their items, rather than compute them.
static PLAIN: LazyLock<[Option<&'static str>; 3]> = LazyLock::new(|| {
    let samples = [Value::from(Vec::<Value>::new()), Value::from_pairs([(0, 0)]), Value::from_object(Tuple::default())];
    samples.map(|sample| sample.as_object().map(DynObject::type_name))
});

struct Walk<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    in_namespace: bool,
    looked_at: usize,
}

impl Walk<'_, '_, '_> {
    /// The value to be kept instead of `value`; `None` where it may be kept as it is.
    fn settled(&mut self, value: &Value, depth: usize) -> Result<Option<Value>, Error> {
        self.looked_at += 1;
        if self.looked_at.is_multiple_of(VALUES_PER_FUEL) {
            self.state.consume_fuel(1)?;
        }
        if depth > MAX_DEPTH {
            return Err(refused("a value is nested too deeply to be kept"));
        }
        let Some(object) = value.as_object() else { return Ok(None) };
        let type_name = object.type_name();
        if is(type_name, "Loop") {
            return if self.in_namespace { Err(refused("a namespace cannot hold `loop`")) } else { Ok(None) };
        }
        let is_namespace = is(type_name, "Namespace");
        if is_namespace && self.in_namespace {
            return Err(refused("a namespace cannot hold a namespace"));
        }
        let anew = !is_namespace && !PLAIN.contains(&Some(type_name));
        let settled = match value.kind() {
            ValueKind::Map => self.pairs(value, depth, anew)?,
            ValueKind::Seq | ValueKind::Iterable => self.items(value, depth, anew)?,
            _ => None,
        };
        Ok(settled.filter(|_| !is_namespace))
    }

    /// A list or tuple of the settled items, where `anew` or one of them is another than before.
    fn items(&mut self, value: &Value, depth: usize, mut anew: bool) -> Result<Option<Value>, Error> {
        let mut items = Vec::new();
        for item in value.try_iter()?.checked() {
            items.push(self.item(item?, depth, &mut anew)?);
        }
        let made = || if value.is_tuple() { Value::from_object(Tuple::from(items)) } else { Value::from(items) };
        Ok(anew.then(made))
    }

    /// An object of the settled fields, where `anew` or one of them is another than before.
    fn pairs(&mut self, value: &Value, depth: usize, mut anew: bool) -> Result<Option<Value>, Error> {
        let mut pairs = Vec::new();
        for key in value.try_iter()?.checked() {
            let key = key?;
            let field = self.item(value.get_item(&key)?, depth, &mut anew)?;
            pairs.push((self.item(key, depth, &mut anew)?, field));
        }
        Ok(anew.then(|| Value::from_pairs(pairs)))
    }

    fn item(&mut self, item: Value, depth: usize, anew: &mut bool) -> Result<Value, Error> {
        let settled = self.settled(&item, depth + 1)?;
        *anew |= settled.is_some();
        Ok(settled.unwrap_or(item))
    }
}

/// Whether a type is the engine's own of this name.
fn is(type_name: &str, name: &str) -> bool {
    type_name.starts_with("minijinja::") && type_name.rsplit("::").next() == Some(name)
}

fn refused(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}
