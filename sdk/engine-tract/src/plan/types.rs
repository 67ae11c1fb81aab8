//! Checks, before anything runs, that the types that tract infers are those of the program.

use super::proto::value_name;
use super::{Node, PICKED, ROWS, failed};
use crate::program::{Op as Operator, Step};
use crate::verify::{Element, Rows, Type, Verified};
use kinglet_engine::EngineError;
use std::collections::HashMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::*;

/// Checks that tract infers the program's type for every value of the program.
pub(super) fn check_types(program: &Verified, model: &TypedModel) -> Result<(), EngineError> {
    let outlets: HashMap<&str, OutletId> = model.outlet_labels.iter().map(|(at, name)| (name.as_str(), *at)).collect();
    for step in &program.steps {
        for &value in &step.outputs {
            let fact = outlets.get(value_name(value).as_str()).and_then(|at| model.outlet_fact(*at).ok());
            check_fact(program.type_of(value), fact, model, step)?;
        }
    }
    Ok(())
}

/// Checks the types of our operators' inputs and of the logits in the plan that runs, and that it has all of our operators.
pub(super) fn check_operands(program: &Verified, model: &TypedModel) -> Result<(), EngineError> {
    let mut seen = 0;
    for node in model.nodes() {
        let Some(ours) = node.op_as::<Node>() else { continue };
        let step = &program.steps[ours.step];
        seen += 1;
        if step.inputs.len() != node.inputs.len() {
            return Err(typed_otherwise(step, format!("{} inputs", node.inputs.len())));
        }
        for (&value, at) in step.inputs.iter().zip(&node.inputs) {
            check_fact(program.type_of(value), model.outlet_fact(*at).ok(), model, step)?;
        }
    }
    let own = program.steps.iter().filter(|step| !matches!(step.op, Operator::Foreign(_))).count();
    let logits = model.output_outlets().ok().and_then(|outlets| outlets.first()).and_then(|at| model.outlet_fact(*at).ok());
    match program.steps.iter().find(|step| step.outputs.contains(&program.logits)) {
        Some(step) if seen == own => check_fact(program.type_of(program.logits), logits, model, step),
        _ => Err(failed(anyhow!("{seen} of {own} operators of the program are in the plan"))),
    }
}

fn check_fact(expected: Type, fact: Option<&TypedFact>, model: &TypedModel, step: &Step) -> Result<(), EngineError> {
    let Some(fact) = fact else { return Err(typed_otherwise(step, "nothing".into())) };
    let rows = if expected.rows == Rows::All { ROWS } else { PICKED };
    let rows = model.symbols.get(rows).map(|symbol| symbol.to_dim());
    let (kind, dims) = match expected.element {
        Element::Token => (i64::datum_type(), vec![Some(1.to_dim()), rows]),
        Element::Float32 => (f32::datum_type(), vec![Some(1.to_dim()), rows, Some(expected.width.to_dim())]),
    };
    let is_same = fact.datum_type == kind && fact.shape.iter().cloned().map(Some).eq(dims);
    if is_same { Ok(()) } else { Err(typed_otherwise(step, format!("{fact:?}"))) }
}

/// The error where tract and the program disagree.
fn typed_otherwise(step: &Step, found: String) -> EngineError {
    let op_type = match &step.op {
        Operator::Foreign(foreign) => foreign.node.op_type.clone(),
        other => other.name().to_owned(),
    };
    let reason = format!("tract makes {found} of it, not rows of {} numbers", step.width);
    EngineError::UnsupportedNode { node: step.label.clone(), op_type, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tract_takes_for_something_else_is_refused_with_the_node() {
        let model = TypedModel::default();
        let (rows, picked) = (model.symbols.sym(ROWS).to_dim(), model.symbols.sym(PICKED).to_dim());
        let step = Step { op: Operator::Add, inputs: vec![], outputs: vec![1], width: 8, label: "/layer/Add".into() };
        let expected = Type { element: Element::Float32, rows: Rows::All, width: 8 };
        let fact = |kind: DatumType, dims: &[TDim]| kind.fact(dims.iter().cloned());
        let check = |fact: &TypedFact| check_fact(expected, Some(fact), &model, &step);
        let right = fact(f32::datum_type(), &[1.to_dim(), rows.clone(), 8.to_dim()]);
        assert!(check(&right).is_ok());
        let others = [
            ("another width", fact(f32::datum_type(), &[1.to_dim(), rows.clone(), 9.to_dim()])),
            ("another element", fact(f16::datum_type(), &[1.to_dim(), rows.clone(), 8.to_dim()])),
            ("another rank", fact(f32::datum_type(), &[1.to_dim(), 1.to_dim(), rows.clone(), 8.to_dim()])),
            ("two sequences", fact(f32::datum_type(), &[2.to_dim(), rows, 8.to_dim()])),
            ("other rows", fact(f32::datum_type(), &[1.to_dim(), picked, 8.to_dim()])),
            ("one row", fact(f32::datum_type(), &[1.to_dim(), 1.to_dim(), 8.to_dim()])),
        ];
        for (name, other) in &others {
            let error = check(other).expect_err(name).to_string();
            assert!(error.contains("/layer/Add") && error.contains("rows of 8 numbers"), "{name}: {error}");
        }
        assert!(check_fact(expected, None, &model, &step).is_err(), "tract has no such value");
    }
}
