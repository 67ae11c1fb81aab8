//! A session whose weights lie where the model's files are mapped: the one place of this crate with unsafe code.
//!
//! ONNX Runtime is given a tensor over mapped bytes for each weight. The crate `ort` has no safe way for that: its tensors own
//! their elements, which would be a copy of all weights, or borrow them for less long than a session lives.
//!
//! # What the unsafe code rests on
//!
//! The library reads a session's initializers while the session is made and while it runs, and never writes them. Both happen
//! through [`MappedSession`], which holds the bytes ([`Bytes`] keeps its map alive) and hands out no session. What else may
//! outlive it (bindings, outputs) can be dropped, which reads no element, and cannot run.
//!
//! The content of a model's files cannot break that. The bytes of a weight are a range that sdk/bundle has found inside its file,
//! whatever offset and length the graph names, and [`tensor_over`] counts them against type and shape without overflow. Ranges may
//! overlap, as weights that are shared do: they are never written to. A file that is written to while it is mapped gives other
//! numbers, and one that is cut short ends the process where the library reads behind its end (`map.rs` of sdk/bundle says what is
//! done about that): an installer of models has to write beside and rename.

#![allow(unsafe_code)]

use crate::provider::Provider;
use kinglet_bundle::Bytes;
use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights, SessionBuilder};
use ort::session::{IoBinding, RunOptions, Session, SessionOutputs};
use ort::value::{DynValue, TensorElementType};
use ort::{AsPointer, Error, ErrorCode};
use std::path::PathBuf;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// A weight: what the graph calls it, its type and shape, and its elements, little-endian and aligned to their size.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    pub(crate) name: String,
    pub(crate) element: TensorElementType,
    pub(crate) dims: Vec<i64>,
    pub(crate) bytes: Bytes,
    /// The file that they are in, links followed, and where in it they begin.
    pub(crate) file: PathBuf,
    pub(crate) offset: usize,
}

/// How a session is made.
pub(crate) struct SessionOptions<'a> {
    pub(crate) threads: usize,
    pub(crate) optimise: bool,
    /// Container through which sessions share prepacked weights; `None`: weights are not prepacked.
    pub(crate) prepacked: Option<&'a PrepackedWeights>,
    pub(crate) config: &'a [(&'a str, &'a str)],
    /// The folder with the files that the graph names; the library looks into them only where it computes with weights while
    /// it optimises.
    pub(crate) folder: &'a str,
    pub(crate) provider: Provider,
}

/// A session and the weights that it reads.
pub(crate) struct MappedSession {
    session: Session,
    /// Dropped after the session.
    _weights: Arc<[Weight]>,
}

impl MappedSession {
    /// A session of `model`, the content of an `.onnx` file that leaves the elements of `weights` out.
    ///
    /// # Errors
    /// Errors of the library.
    pub(crate) fn new(
        environment: &Environment,
        model: &[u8],
        weights: Arc<[Weight]>,
        options: &SessionOptions<'_>,
    ) -> ort::Result<MappedSession> {
        let level = if options.optimise { GraphOptimizationLevel::All } else { GraphOptimizationLevel::Disable };
        let mut builder = SessionBuilder::new(environment)?
            .with_optimization_level(level)?
            .with_intra_threads(options.threads)?
            .with_inter_threads(1)?
            .with_memory_pattern(false)?
            .with_prepacking(options.prepacked.is_some())?
            .with_device_allocated_initializers()?
            .with_config_entry("session.model_external_initializers_file_folder_path", options.folder)?;
        for (key, value) in options.config {
            builder = builder.with_config_entry(key, value)?;
        }
        builder = options.provider.register(builder, options.threads)?;
        for weight in weights.iter() {
            let value = Arc::new(tensor_over(weight)?);
            builder = builder.with_initializer(&weight.name, value)?;
        }
        if let Some(prepacked) = options.prepacked {
            builder = builder.with_prepacked_weights(prepacked)?;
        }
        let session = builder.commit_from_memory(model)?;
        // Prepacked weights are not read from the map again; pages of the others are read in again when they are needed.
        weights.iter().for_each(|weight| weight.bytes.release());
        Ok(MappedSession { session, _weights: weights })
    }

    /// # Errors
    /// Errors of the library.
    pub(crate) fn binding(&self) -> ort::Result<IoBinding> {
        self.session.create_binding()
    }

    /// # Errors
    /// Errors of the library; also where the run was terminated.
    pub(crate) fn run<'b, 's: 'b>(&'s mut self, binding: &'b IoBinding, options: &RunOptions) -> ort::Result<SessionOutputs<'b>> {
        self.session.run_binding_with_options(binding, options)
    }
}

/// A tensor over the bytes of a weight, without a copy. It does not keep them alive: see the top of this file.
fn tensor_over(weight: &Weight) -> ort::Result<DynValue> {
    let invalid =
        || Error::new_with_code(ErrorCode::InvalidArgument, format!("the bytes of `{}` are not those of its shape", weight.name));
    let elements = weight
        .dims
        .iter()
        .try_fold(1usize, |product, dim| product.checked_mul(usize::try_from(*dim).ok()?))
        .ok_or_else(invalid)?;
    // No element is smaller than a quarter of a byte; beyond that, sizes could overflow.
    let possible = elements > 0 && elements <= weight.bytes.len().saturating_mul(4);
    if !possible || weight.element.byte_size(elements) != Some(weight.bytes.len()) {
        return Err(invalid());
    }
    let allocator = Allocator::default();
    let mut value: *mut ort::sys::OrtValue = ptr::null_mut();
    // SAFETY: the memory description is that of the default CPU allocator, and the bytes are in the CPU's memory; they are as
    // many as the type and the shape say (checked above), and the shape pointer is valid for its length. The library takes a
    // mutable pointer but does not write to initializers, which is all that this tensor is used for.
    let status = unsafe {
        (ort::api().CreateTensorWithDataAsOrtValue)(
            allocator.memory_info().ptr(),
            weight.bytes.as_ptr().cast_mut().cast(),
            weight.bytes.len(),
            weight.dims.as_ptr(),
            weight.dims.len(),
            weight.element.into(),
            &mut value,
        )
    };
    // SAFETY: the status comes from the call above and is used once.
    unsafe { Error::result_from_status(status) }?;
    let value = NonNull::new(value).ok_or_else(invalid)?;
    // SAFETY: the pointer is a value that the library just made and nobody else holds; the allocator is the one that its memory
    // description belongs to, and frees nothing of a tensor that does not own its elements.
    Ok(unsafe { DynValue::from_ptr(value, Some(&allocator)) })
}
