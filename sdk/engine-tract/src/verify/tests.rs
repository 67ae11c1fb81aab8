//! Each thing that is proved refuses a program that lacks it; the list in ARCHITECTURE.md is the list of these.

use super::{MAX_ALIVE, MAX_FOREIGN, MAX_LAYERS, verify};
use crate::program::{Attention, Constant, Foreign, Form, Norm, Op, Part, Program, Step, ValueId};
use crate::rotary::{Angles, Longer, Rotary};
use crate::weight::{Grid, Vector, Weight};
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{DataType, Node, Tensor};
use kinglet_kernels::{GateActivation, LayerKv, Layout};
use std::collections::BTreeSet;

const VOCAB: usize = 16;
const HIDDEN: usize = 8;
const FFN: usize = 12;
const HEAD_DIM: usize = 4;
const HALF: usize = HEAD_DIM / 2;
const CONTEXT: usize = 6;

fn weight(n: usize, k: usize) -> Weight {
    let tensor = |data_type, dims: &[usize], bytes| Tensor { name: "w".into(), data_type, dims: dims.into(), bytes };
    let data = tensor(DataType::Int8, &[n, k], Bytes::copy_of(&vec![1i8; n * k]));
    let scales = tensor(DataType::Float32, &[], Bytes::copy_of(&[0.5f32]));
    let grid = Grid { block: [n, k], scales: &scales, zero_points: None };
    Weight::integers(&Node::default(), &data, Layout::Nk, [n, k], grid).unwrap()
}

fn part(n: usize, k: usize) -> Part {
    Part { weight: weight(n, k), bias: Some(Vector::owned(vec![0.0; n])), number: 0 }
}

fn norm(width: usize) -> Norm {
    Norm { weight: Vector::owned(vec![1.0; width]), eps: 1e-6 }
}

fn tables(positions: usize, half: usize, stride: usize) -> Angles {
    let table = || Vector::owned(vec![0.5; positions * stride]);
    Angles::Tables { cos: table(), sin: table(), half, stride }
}

fn left(op_type: &str, constants: Vec<(usize, Constant)>, inputs: usize) -> Op {
    let node = Node { op_type: op_type.into(), inputs: vec!["x".into(); inputs], ..Node::default() };
    Op::Foreign(Box::new(Foreign { node, constants }))
}

/// A program to which steps are added, each named after its operator.
struct Building(Program);

impl Building {
    fn step(&mut self, op: Op, inputs: &[ValueId], outputs: usize, width: usize) -> ValueId {
        let first = self.0.values;
        self.0.values += outputs;
        let label = format!("/{}", op.name());
        self.0.steps.push(Step { op, inputs: inputs.into(), outputs: (first..first + outputs).collect(), width, label });
        first
    }
}

/// A decoder of one layer in which every operator occurs.
fn decoder() -> Program {
    let longer = Longer { after: CONTEXT, angles: tables(2 * CONTEXT, HALF, HALF) };
    let rotary = Rotary { angles: tables(CONTEXT, HALF, 2 * HALF), longer: Some(longer), interleaved: false };
    let frequencies = Angles::Frequencies { inverse: vec![1.0; HALF], scale: 1.0 };
    let other = Rotary { angles: frequencies, longer: None, interleaved: false };
    let kv = LayerKv::new(1, HEAD_DIM);
    let mut b =
        Building(Program { values: 1, vocab: VOCAB, layers: vec![kv, kv], rotaries: vec![rotary, other], ..Program::default() });
    let attention = |layer: usize| {
        let norms = [Some(norm(HEAD_DIM)), Some(norm(HEAD_DIM))];
        let [q_norm, k_norm] = norms;
        let (scale, softcap, window) = (0.5, Some(30.0), Some(4));
        Op::Attention(Box::new(Attention {
            layer,
            q_heads: 2,
            kv,
            scale,
            softcap,
            window,
            q_norm,
            k_norm,
            norm_after_rotation: false,
            rotary: Some(layer),
        }))
    };
    let x = b.step(Op::Embed { table: weight(VOCAB, HIDDEN), scale: 2.0 }, &[0], 1, HIDDEN);
    let n = b.step(Op::Norm(norm(HIDDEN)), &[x], 1, HIDDEN);
    let qkv = b.step(Op::Linear(vec![part(8, HIDDEN), part(4, HIDDEN), part(4, HIDDEN)]), &[n], 1, 16);
    let heads = b.step(attention(0), &[qkv], 1, HIDDEN);
    let k = b.step(Op::Linear(vec![part(4, HIDDEN)]), &[heads], 1, 4);
    let qkv = b.step(Op::Pack, &[heads, k, k], 1, 16);
    let heads = b.step(attention(1), &[qkv], 1, HIDDEN);
    let n = b.step(Op::AddNorm(norm(HIDDEN)), &[x, heads], 2, HIDDEN);
    let gated = Op::Gated { gate: part(FFN, HIDDEN), up: part(FFN, HIDDEN), activation: GateActivation::Silu };
    let act = b.step(gated, &[n], 1, FFN);
    let down = b.step(Op::Linear(vec![part(HIDDEN, FFN)]), &[act], 1, HIDDEN);
    let sum = b.step(Op::Add, &[n + 1, down], 1, HIDDEN);
    let centred = b.step(Op::Centre, &[sum], 1, HIDDEN);
    let row = Constant { values: vec![1.0; HIDDEN], form: Form::Repeated };
    let shifted = b.step(left("Sub", vec![(1, row)], 2), &[centred], 1, HIDDEN);
    let picked = b.step(Op::PickRows, &[shifted], 1, HIDDEN);
    let head = b.step(Op::Linear(vec![part(VOCAB, HIDDEN)]), &[picked], 1, VOCAB);
    let scaled = b.step(Op::Scale(0.25), &[head], 1, VOCAB);
    b.0.logits = b.step(Op::Softcap(30.0), &[scaled], 1, VOCAB);
    b.0.number_parts();
    b.0
}

/// The step of that name.
fn at<'p>(program: &'p mut Program, name: &str) -> &'p mut Step {
    program.steps.iter_mut().find(|step| step.op.name() == name).unwrap()
}

fn parts(program: &mut Program) -> &mut Vec<Part> {
    match &mut at(program, "linear").op {
        Op::Linear(parts) => parts,
        _ => unreachable!("found by name"),
    }
}

fn attention(program: &mut Program) -> &mut Attention {
    match &mut at(program, "attention").op {
        Op::Attention(attention) => attention,
        _ => unreachable!("found by name"),
    }
}

/// Puts `op` where the softcap on the logits is.
fn at_the_end(program: &mut Program, op: Op) {
    at(program, "softcap").op = op;
}

/// A change to the decoder, what it lacks then, and words of the refusal.
struct Case {
    proves: &'static str,
    bend: fn(&mut Program),
    says: &'static str,
}

const CASES: &[Case] = &[
    Case {
        proves: "Every value is made once, and before it is read.",
        bend: |p| p.steps.swap(1, 2),
        says: "`/linear` (linear): it reads a value before anything makes it",
    },
    Case {
        proves: "Every value is made once, and before it is read.",
        bend: |p| at(p, "scale").outputs[0] = 1,
        says: "`/scale` (scale): it makes a value that something else makes",
    },
    Case {
        proves: "Every value is made once, and before it is read.",
        bend: |p| at(p, "scale").inputs[0] = 99,
        says: "before anything makes it",
    },
    Case {
        proves: "Every value is made once, and before it is read.",
        bend: |p| p.logits = p.values,
        says: "nothing makes its logits",
    },
    Case {
        proves: "Each operator has its number of inputs and outputs.",
        bend: |p| at(p, "add+norm").outputs.truncate(1),
        says: "`/add+norm` (add+norm): it has 1 outputs where 2 are expected",
    },
    Case {
        proves: "Each operator has its number of inputs and outputs.",
        bend: |p| at(p, "add").inputs.truncate(1),
        says: "`/add` (add): it has 1 inputs",
    },
    Case {
        proves: "Each operator has its number of inputs and outputs.",
        bend: |p| at(p, "centre").inputs.push(1),
        says: "`/centre` (centre): it has 2 inputs",
    },
    Case {
        proves: "Each operator has its number of inputs and outputs.",
        bend: |p| at(p, "pack").inputs = vec![1; 4],
        says: "`/pack` (pack): it has 4 inputs",
    },
    Case {
        proves: "Token ids are what the embedding reads, and nothing else reads them.",
        bend: |p| at(p, "norm").inputs[0] = 0,
        says: "`/norm` (norm): it reads token ids where numbers are expected",
    },
    Case {
        proves: "Values that are joined have one width, and both the rows of all tokens or both those that were picked.",
        bend: |p| at(p, "add").inputs[1] = 3,
        says: "`/add` (add): it reads 16 columns where 8 are expected",
    },
    Case {
        proves: "Values that are joined have one width, and both the rows of all tokens or both those that were picked.",
        bend: |p| {
            let (sum, picked) = (at(p, "add").outputs[0], at(p, "pick rows").outputs[0]);
            let at = p.steps.iter().position(|step| step.op.name() == "scale").unwrap();
            p.steps.insert(
                at,
                Step { op: Op::Add, inputs: vec![sum, picked], outputs: vec![p.values], width: HIDDEN, label: "/mix".into() },
            );
            p.values += 1;
        },
        says: "`/mix` (add): it joins rows of all tokens with rows that logits are wanted for",
    },
    Case {
        proves: "Attention, what is packed for it, and the choice of rows read the rows of all tokens.",
        bend: |p| {
            let picked = at(p, "pick rows").outputs[0];
            at_the_end(p, Op::Pack);
            at(p, "pack").inputs = vec![1, 1];
            let last = p.steps.last_mut().unwrap();
            last.inputs = vec![picked; 2];
            let first = p.steps.iter().position(|step| step.op.name() == "pack").unwrap();
            p.steps[first].width = 16;
        },
        says: "`/softcap` (pack): it reads some of the rows where all are expected",
    },
    Case {
        proves: "The logits are a row of the vocabulary's width for each row that was picked.",
        bend: |p| p.logits = p.steps[0].outputs[0],
        says: "its logits are Type",
    },
    Case {
        proves: "The logits are a row of the vocabulary's width for each row that was picked.",
        bend: |p| p.vocab -= 1,
        says: "15 wide, is wanted",
    },
    Case {
        proves: "An embedding's table has a row for every token of the vocabulary.",
        bend: |p| at(p, "embed").op = Op::Embed { table: weight(VOCAB - 1, HIDDEN), scale: 1.0 },
        says: "`/embed` (embed): its table has 15 rows for 16 tokens",
    },
    Case {
        proves: "All parts of a product read rows of the width that they have.",
        bend: |p| parts(p)[2] = Part { number: 2, ..part(4, 1) },
        says: "`/linear` (linear): in part 3 of 3, it reads 8 columns where 1 are expected",
    },
    Case {
        proves: "All parts of a product read rows of the width that they have.",
        bend: |p| parts(p)[0] = part(8, HIDDEN / 2),
        says: "`/linear` (linear): in part 1 of 3, it reads 8 columns where 4 are expected",
    },
    Case {
        proves: "All parts of a product read rows of the width that they have.",
        bend: |p| match &mut at(p, "gated").op {
            Op::Gated { gate, .. } => gate.weight = weight(FFN, 4),
            _ => unreachable!("found by name"),
        },
        says: "`/gated` (gated): it reads 8 columns where 4 are expected",
    },
    Case {
        proves: "A product has one to three parts, whose columns add up to its own.",
        bend: |p| drop(parts(p).pop()),
        says: "`/linear` (linear): it makes 12 columns where 16 are expected",
    },
    Case {
        proves: "A product has one to three parts, whose columns add up to its own.",
        bend: |p| parts(p).clear(),
        says: "`/linear` (linear): a product of 0 weights",
    },
    Case {
        proves: "A product has one to three parts, whose columns add up to its own.",
        bend: |p| *parts(p) = vec![part(4, HIDDEN); 4],
        says: "`/linear` (linear): a product of 4 weights",
    },
    Case {
        proves: "A bias is as long as its part is wide.",
        bend: |p| parts(p)[1].bias = Some(Vector::owned(vec![0.0; 3])),
        says: "`/linear` (linear): in part 2 of 3, a bias of 3 for 4 columns",
    },
    Case {
        proves: "A gate has as many columns as what it is multiplied with.",
        bend: |p| match &mut at(p, "gated").op {
            Op::Gated { gate, .. } => *gate = part(4, HIDDEN),
            _ => unreachable!("found by name"),
        },
        says: "`/gated` (gated): a gate of 4 columns for 12",
    },
    Case {
        proves: "A weight's rows lie within what is stored, and data, scales and zero points have their lengths.",
        bend: |p| parts(p)[0].weight = weight(8, HIDDEN).slice(4..9),
        says: "`/linear` (linear): in part 1 of 3, its rows reach beyond the weight",
    },
    Case {
        proves: "A weight's rows lie within what is stored, and data, scales and zero points have their lengths.",
        bend: |p| parts(p)[0].weight = weight(8, HIDDEN).slice(4..4),
        says: "`/linear` (linear): in part 1 of 3, its rows reach beyond the weight",
    },
    Case {
        proves: "Parts are numbered in running order, which is how packed weights are found.",
        bend: |p| parts(p)[1].number = 0,
        says: "`/linear` (linear): its weights are not numbered in running order",
    },
    Case {
        proves: "A norm's weight is as long as a row or as a head.",
        bend: |p| at(p, "norm").op = Op::Norm(norm(HIDDEN / 2)),
        says: "`/norm` (norm): it reads 8 columns where 4 are expected",
    },
    Case {
        proves: "A norm's weight is as long as a row or as a head.",
        bend: |p| at(p, "add+norm").op = Op::AddNorm(norm(HIDDEN + 1)),
        says: "`/add+norm` (add+norm): it reads 8 columns where 9 are expected",
    },
    Case {
        proves: "A norm's weight is as long as a row or as a head.",
        bend: |p| attention(p).k_norm = Some(norm(HEAD_DIM - 1)),
        says: "`/attention` (attention): in the norm of its keys, it reads 4 columns where 3 are expected",
    },
    Case {
        proves: "Query heads are a multiple of those of keys, and all heads together are as wide as what attention reads.",
        bend: |p| attention(p).q_heads = 3,
        says: "`/attention` (attention): it reads 16 columns where 20 are expected",
    },
    Case {
        proves: "Query heads are a multiple of those of keys, and all heads together are as wide as what attention reads.",
        bend: |p| attention(p).q_heads = 0,
        says: "`/attention` (attention): 0 query heads over 1 of keys",
    },
    Case {
        proves: "Query heads are a multiple of those of keys, and all heads together are as wide as what attention reads.",
        bend: |p| attention(p).kv = LayerKv::new(0, HEAD_DIM),
        says: "`/attention` (attention): 2 query heads over 0 of keys",
    },
    Case {
        proves: "Query heads are a multiple of those of keys, and all heads together are as wide as what attention reads.",
        bend: |p| attention(p).kv = LayerKv::new(1, usize::MAX / 2),
        says: "`/attention` (attention): its heads are too many or too large",
    },
    Case {
        proves: "A rotary embedding turns at least one pair of elements and no more than a head has.",
        bend: |p| p.rotaries[0].angles = tables(CONTEXT, 0, 0),
        says: "`/attention` (attention): 0 pairs of the 4 elements of a head would be rotated",
    },
    Case {
        proves: "A rotary embedding turns at least one pair of elements and no more than a head has.",
        bend: |p| p.rotaries[1].angles = Angles::Frequencies { inverse: vec![1.0; HALF + 1], scale: 1.0 },
        says: "`/attention` (attention): 3 pairs of the 4 elements of a head would be rotated",
    },
    Case {
        proves: "A rotary embedding turns at least one pair of elements and no more than a head has.",
        bend: |p| attention(p).rotary = Some(2),
        says: "`/attention` (attention): its rotary embedding is not there",
    },
    Case {
        proves: "Tables of cosines and sines have one size, rows as wide as they are used, and reach as far as they are to serve.",
        bend: |p| match &mut p.rotaries[0].angles {
            Angles::Tables { sin, .. } => *sin = Vector::owned(vec![0.5; HALF]),
            Angles::Frequencies { .. } => unreachable!("made of tables"),
        },
        says: "`/attention` (attention): 24 cosines and 2 sines in rows of 4, 2 used",
    },
    Case {
        proves: "Tables of cosines and sines have one size, rows as wide as they are used, and reach as far as they are to serve.",
        bend: |p| p.rotaries[0].angles = tables(CONTEXT, HALF, HALF - 1),
        says: "`/attention` (attention): 6 cosines and 6 sines in rows of 1, 2 used",
    },
    Case {
        proves: "Tables of cosines and sines have one size, rows as wide as they are used, and reach as far as they are to serve.",
        bend: |p| p.rotaries[0].angles = tables(0, HALF, HALF),
        says: "`/attention` (attention): 0 cosines and 0 sines",
    },
    Case {
        proves: "Tables of cosines and sines have one size, rows as wide as they are used, and reach as far as they are to serve.",
        bend: |p| p.rotaries[0].angles = tables(CONTEXT - 1, HALF, HALF),
        says: "`/attention` (attention): cosine and sine tables of Some(5) positions are to serve 6",
    },
    Case {
        proves: "Tables of cosines and sines have one size, rows as wide as they are used, and reach as far as they are to serve.",
        bend: |p| p.rotaries[0].longer = Some(Longer { after: CONTEXT, angles: tables(12, 1, 1) }),
        says: "`/attention` (attention): its cosine and sine tables differ in width",
    },
    Case {
        proves: "The keys and values of each layer are written by one attention, with the layer's heads.",
        bend: |p| attention(p).layer = 1,
        says: "`/attention` (attention): the keys and values of layer 1 are written twice",
    },
    Case {
        proves: "The keys and values of each layer are written by one attention, with the layer's heads.",
        bend: |p| p.layers[0] = LayerKv::new(2, HEAD_DIM),
        says: "`/attention` (attention): its keys and values are not those of layer 0",
    },
    Case {
        proves: "The keys and values of each layer are written by one attention, with the layer's heads.",
        bend: |p| p.layers.push(LayerKv::new(1, HEAD_DIM)),
        says: "nothing attends to layer 2",
    },
    Case {
        proves: "Factors, caps, epsilons and angles are finite, caps and windows above zero.",
        bend: |p| at(p, "scale").op = Op::Scale(f32::INFINITY),
        says: "`/scale` (scale): its factor is inf",
    },
    Case {
        proves: "Factors, caps, epsilons and angles are finite, caps and windows above zero.",
        bend: |p| at_the_end(p, Op::Softcap(0.0)),
        says: "`/softcap` (softcap): a cap of 0",
    },
    Case {
        proves: "Factors, caps, epsilons and angles are finite, caps and windows above zero.",
        bend: |p| at(p, "norm").op = Op::Norm(Norm { eps: f32::NAN, ..norm(HIDDEN) }),
        says: "`/norm` (norm): an epsilon of NaN",
    },
    Case {
        proves: "Factors, caps, epsilons and angles are finite, caps and windows above zero.",
        bend: |p| p.rotaries[1].angles = Angles::Frequencies { inverse: vec![f32::NAN; HALF], scale: 1.0 },
        says: "`/attention` (attention): its rotary embedding is NaN",
    },
    Case {
        proves: "Factors, caps, epsilons and angles are finite, caps and windows above zero.",
        bend: |p| attention(p).window = Some(0),
        says: "`/attention` (attention): a cap of Some(30.0) and a window of Some(0)",
    },
    Case {
        proves: "An operator left to tract has all of its inputs, and its constants are one number or a row.",
        bend: |p| at(p, "tract").op = left("Sub", vec![], 2),
        says: "`/tract` (tract): it has 2 inputs, of which 1 are known",
    },
    Case {
        proves: "An operator left to tract has all of its inputs, and its constants are one number or a row.",
        bend: |p| at(p, "tract").op = left("Sub", vec![(1, Constant { values: vec![], form: Form::Repeated })], 2),
        says: "`/tract` (tract): a constant of 0 numbers on rows of 8",
    },
    Case {
        proves: "An operator left to tract has all of its inputs, and its constants are one number or a row.",
        bend: |p| at(p, "tract").op = left("FastGelu", vec![(1, Constant { values: vec![1.0], form: Form::Row })], 2),
        says: "`/tract` (tract): a constant of 1 numbers on rows of 8",
    },
    Case {
        proves: "There are at most 1,024 layers, 1,024 operators left to tract, and 256 values kept at once.",
        bend: |p| p.layers = vec![LayerKv::new(1, HEAD_DIM); MAX_LAYERS + 1],
        says: "it has 1025 layers; up to 1024 are run",
    },
    Case {
        proves: "There are at most 1,024 layers, 1,024 operators left to tract, and 256 values kept at once.",
        bend: |p| {
            let tract = at(p, "tract").clone();
            p.steps.extend(vec![tract; MAX_FOREIGN]);
        },
        says: "`/tract` (tract): more than 1024 operators like this would be left to tract",
    },
    Case {
        proves: "There are at most 1,024 layers, 1,024 operators left to tract, and 256 values kept at once.",
        bend: |p| {
            // So many sums of the embedding, of which each is read at the end.
            let scale = p.steps.iter().position(|step| step.op.name() == "norm").unwrap();
            let first = p.values;
            p.values += 2 * MAX_ALIVE;
            let sum = |to: usize, from: usize| Step {
                op: Op::Add,
                inputs: vec![1, from],
                outputs: vec![to],
                width: HIDDEN,
                label: "/kept".into(),
            };
            let kept = (first..first + MAX_ALIVE).map(|to| sum(to, 1));
            let read = (first..first + MAX_ALIVE).map(|from| sum(from + MAX_ALIVE, from));
            let steps: Vec<Step> = kept.chain(read).collect();
            p.steps.splice(scale..scale, steps);
        },
        says: "`/kept` (add): more than 256 values would be kept at once",
    },
];

#[test]
fn a_decoder_is_proved() {
    let verified = verify(decoder()).unwrap();
    assert_eq!(verified.type_of(verified.logits).width, VOCAB);
}

#[test]
fn each_thing_that_is_proved_refuses() {
    for Case { proves, bend, says } in CASES {
        let mut program = decoder();
        bend(&mut program);
        let Err(error) = verify(program) else { panic!("{proves}: a program that lacks it passed; {says}") };
        assert!(error.to_string().contains(says), "{proves}: {error}");
    }
}

#[test]
fn the_list_in_the_documents_is_what_is_proved() {
    let text = include_str!("../../../../ARCHITECTURE.md");
    let section = text.split("### What the verifier proves").nth(1).unwrap().split("\n#").next().unwrap();
    let listed: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    let here: BTreeSet<&str> = CASES.iter().map(|case| case.proves).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), here);
    assert_eq!(listed.len(), here.len(), "nothing is listed twice");
}
