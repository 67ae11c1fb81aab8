//! Einstein's sums over named axes.

use crate::call::{Call, Outputs};
use crate::index::strides;
use crate::{Data, ReferenceError};

/// The axes of an equation: their letters, lengths, and how many of them the result has.
struct Axes {
    letters: Vec<char>,
    lengths: Vec<usize>,
    kept: usize,
}

/// The sum of the products of all operands over the axes that the result does not have. `...` is not known.
pub(crate) fn einsum(call: &Call) -> Outputs {
    let equation = call.text("equation")?.ok_or_else(|| call.refuse("the attribute `equation` is absent"))?;
    let equation: String = equation.chars().filter(|letter| !letter.is_whitespace()).collect();
    if equation.contains('.') {
        return Err(call.unsupported("an equation with `...`"));
    }
    let (left, right) = equation.split_once("->").map_or((equation.as_str(), None), |(left, right)| (left, Some(right)));
    let terms: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
    call.expect(terms.len() == call.inputs.len(), || format!("`{equation}` has other operands"))?;
    let result: Vec<char> = right.map_or_else(|| once(&terms), |right| right.chars().collect());
    let axes = axes(call, &terms, &result)?;
    let steps = terms.iter().enumerate().map(|(index, term)| steps(call, index, term, &axes)).collect::<Result<Vec<_>, _>>()?;
    let values = (0..terms.len()).map(|index| call.floats(index)).collect::<Result<Vec<_>, _>>()?;
    let dims = axes.lengths[..axes.kept].to_vec();
    let summed = &axes.lengths[axes.kept..];
    let each = summed.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
    let each = each.ok_or_else(|| call.refuse("the shape is impossible"))?;
    let count = call.room(&dims)?;
    call.work(&[count, each, terms.len()])?;
    let offset = |strides: &[isize], index: &[usize]| -> usize {
        index.iter().zip(strides).map(|(index, stride)| index * *stride as usize).sum()
    };
    let mut index = vec![0; axes.lengths.len()];
    let mut sums = Vec::with_capacity(count);
    for _ in 0..count {
        let mut sum = 0.0;
        for _ in 0..each {
            sum += values.iter().zip(&steps).map(|(x, steps)| f64::from(x[offset(steps, &index)])).product::<f64>();
            advance(&mut index[axes.kept..], summed);
        }
        sums.push(sum as f32);
        advance(&mut index[..axes.kept], &dims);
    }
    let like = call.input(0)?;
    Ok(vec![like.like(dims, Data::Float(sums))])
}

/// The letters that are met once, in alphabetical order: the result where an equation names none.
fn once(terms: &[Vec<char>]) -> Vec<char> {
    let mut all: Vec<char> = terms.concat();
    all.sort_unstable();
    let met = |letter: &char| all.iter().filter(|other| *other == letter).count() == 1;
    all.iter().copied().filter(met).collect()
}

/// The axes of the result, then the others.
fn axes(call: &Call, terms: &[Vec<char>], result: &[char]) -> Result<Axes, ReferenceError> {
    let mut axes = Axes { letters: Vec::new(), lengths: Vec::new(), kept: result.len() };
    for letter in result.iter().copied().chain(terms.concat()) {
        let place = axes.letters.iter().position(|known| *known == letter);
        call.expect(place.is_none() || axes.letters.len() >= axes.kept, || format!("the result has `{letter}` twice"))?;
        if place.is_none() {
            axes.letters.push(letter);
            axes.lengths.push(length(call, terms, letter)?);
        }
    }
    Ok(axes)
}

/// The one length that operands have along a letter; an axis of 1 stretches.
fn length(call: &Call, terms: &[Vec<char>], letter: char) -> Result<usize, ReferenceError> {
    let mut length = None;
    for (index, term) in terms.iter().enumerate() {
        let dims = &call.input(index)?.dims;
        call.expect(term.len() == dims.len(), || format!("operand {index} has not {} axes", term.len()))?;
        for (dim, _) in dims.iter().zip(term).filter(|(_, other)| **other == letter) {
            match length {
                None | Some(1) => length = Some(*dim),
                Some(known) if known == *dim || *dim == 1 => {}
                Some(known) => return Err(call.refuse(format!("`{letter}` is {known} and {dim} long"))),
            }
        }
    }
    length.ok_or_else(|| call.refuse(format!("no operand has `{letter}`")))
}

/// How far an operand's offset moves along each axis of the equation.
fn steps(call: &Call, index: usize, term: &[char], axes: &Axes) -> Result<Vec<isize>, ReferenceError> {
    let dims = &call.input(index)?.dims;
    let own = strides(dims);
    let along = |letter: &char| {
        let places = term.iter().zip(dims).zip(&own).filter(|((other, dim), _)| *other == letter && **dim != 1);
        places.map(|(_, stride)| *stride).fold(0, isize::saturating_add)
    };
    Ok(axes.letters.iter().map(along).collect())
}

/// The next index, the last axis first.
fn advance(index: &mut [usize], lengths: &[usize]) {
    for (at, length) in index.iter_mut().zip(lengths).rev() {
        *at += 1;
        if *at < *length {
            return;
        }
        *at = 0;
    }
}
