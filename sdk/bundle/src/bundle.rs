//! A folder, opened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::bytes::Bytes;
use crate::config::{Architecture, ConfigFiles, Decoder, GenerationDefaults};
use crate::error::{BundleError, FileError};
use crate::file_range::FileRanges;
use crate::fingerprint::Fingerprint;
use crate::io_names::IoNames;
use crate::layout::{Found, Layout, detect};
use crate::location::inside;
use crate::mistaken::{OtherFormat, is_hub_name};
use crate::onnx::{Graph, OnnxError};
use crate::precision::Precision;
use crate::text_files::TextFiles;
use crate::variant::{OpenOptions, Variant, choose, unknown, unsupported};
use crate::weight_files::{MappedWeights, WeightFile};

/// A model folder, checked: every file that the graph needs is there, mapped and long enough.
pub struct Bundle {
    folder: PathBuf,
    layout: Layout,
    variants: Vec<Variant>,
    /// Which of `variants` is open.
    place: usize,
    choice: String,
    architecture: Architecture,
    generation: GenerationDefaults,
    text_files: TextFiles,
    io: IoNames,
    weights: MappedWeights,
    weight_files: Vec<WeightFile>,
}

impl Bundle {
    /// Opens the model in `folder`: tells its layout, chooses one of its graphs, reads its configuration, and maps the
    /// graph and its weights. No weight is read.
    ///
    /// # Errors
    /// Something about the folder is not as it must be; each [`BundleError`] says what, and what to do about it.
    pub fn open(folder: &Path, options: &OpenOptions) -> Result<Bundle, BundleError> {
        check_folder(folder)?;
        let configs = ConfigFiles::read(folder)?;
        let given = FileRanges::new(folder, &options.files)?;
        let architecture = if configs.any() { Architecture::new(folder, &configs)? } else { Architecture::default() };
        // For a model of another kind, its missing or odd graphs are not the news.
        let found = detect(folder, &configs, &given).map_err(|error| match error {
            BundleError::NoModel { .. } => architecture.no_graph().unwrap_or(error),
            error => error,
        });
        let Found { layout, mut variants } = found?;
        let (place, reason) = match layout {
            // The name that the configuration gives says nothing about the precision, so a request waits for the graph.
            Layout::Genai => (0, "named by genai_config.json".to_owned()),
            Layout::Optimum | Layout::Community => choose(folder, &variants, options)?,
        };

        let file = variants[place].file.clone();
        let mut weights = MappedWeights::open(&file, given)?;
        let graph = read(&file, &mut weights)?;
        let weight_files: Vec<WeightFile> = weights.files().map(|file| WeightFile::of(file)).collect();
        let variant = &mut variants[place];
        variant.precision = Precision::of_graph(&graph).or(variant.precision);
        variant.bytes = weight_files.iter().map(|file| file.bytes).sum();
        check_variant(folder, &variants, place, options)?;

        let decoder = configs.genai.as_ref().and_then(|genai| genai.model.decoder.as_ref());
        let bundle = Bundle {
            io: io_names(folder, decoder, &file, &graph, &architecture)?,
            choice: describe(folder, &variants[place], &reason),
            generation: GenerationDefaults::new(folder, &configs)?,
            text_files: TextFiles::find(folder)?,
            folder: folder.into(),
            layout,
            variants,
            place,
            architecture,
            weights,
            weight_files,
        };
        log::debug!("opened {} as {layout}: {}", folder.display(), bundle.choice);
        Ok(bundle)
    }

    /// The folder that was opened.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the folder is laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The graph that was chosen.
    pub fn variant(&self) -> &Variant {
        &self.variants[self.place]
    }

    /// All graphs that the folder offers, the chosen one among them.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// One sentence for the user: which graph was chosen, and why.
    pub fn choice(&self) -> &str {
        &self.choice
    }

    /// Facts of the model from its configuration files.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// How the model's makers would have it generate.
    pub fn generation(&self) -> &GenerationDefaults {
        &self.generation
    }

    /// Where the files of the tokenizer and the chat templates are.
    pub fn text_files(&self) -> &TextFiles {
        &self.text_files
    }

    /// Names of the graph's inputs and outputs.
    pub fn io(&self) -> &IoNames {
        &self.io
    }

    /// The graph, with its constants as ranges of the mapped files. It is read anew at each call (a millisecond or less
    /// for some hundred nodes), so that a bundle that is kept does not keep the graph.
    ///
    /// # Errors
    /// A file has become shorter since the folder was opened, or its content has changed into something unreadable.
    pub fn graph(&self) -> Result<Graph, BundleError> {
        self.check_files()?;
        read(&self.variant().file, &mut self.weights.clone())
    }

    /// The content of the graph's own file, mapped.
    ///
    /// # Errors
    /// The file has become shorter since the folder was opened.
    pub fn graph_file(&self) -> Result<Bytes, BundleError> {
        self.check_files()?;
        Ok(self.weights.model())
    }

    /// The files that the weights are in, the graph's own first.
    pub fn weight_files(&self) -> &[WeightFile] {
        &self.weight_files
    }

    /// The size of [`Bundle::weight_files`] together.
    pub fn total_bytes(&self) -> u64 {
        self.weight_files.iter().map(|file| file.bytes).sum()
    }

    /// Checks that no weight file has become shorter than its map: reading behind the end of one would end the process
    /// (`SIGBUS`). It costs a system call a file, so that a caller can afford it before each response.
    ///
    /// # Errors
    /// [`FileError::Shrunk`] names the file; the model must be opened again.
    pub fn check_files(&self) -> Result<(), FileError> {
        self.weights.files().try_for_each(|file| file.check_length())
    }

    /// Gives back the memory that reading the weight files has taken: each page is read again when it is next needed.
    pub fn release(&self) {
        self.weights.files().for_each(|file| file.release(0..file.bytes().len()));
    }

    /// Hash that identifies this model: see [`Fingerprint`]. Reads some hundred kilobytes a file, whatever the size.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(&self.folder, self.weights.files().map(|file| &**file))
    }

    /// The path of a further file of the folder, such as `kinglet.json`; `None` where there is none, or where `name` leads
    /// out of the folder.
    pub fn extra_file(&self, name: &str) -> Option<PathBuf> {
        inside(&self.folder, name).ok().filter(|path| path.is_file())
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Bundle");
        out.field("folder", &self.folder).field("layout", &self.layout).field("variant", self.variant());
        out.finish_non_exhaustive()
    }
}

/// Checks that there is a folder with something in it.
fn check_folder(folder: &Path) -> Result<(), BundleError> {
    let unreadable = |source| FileError::Unreadable { path: folder.into(), source };
    if let Some(format) = OtherFormat::of(folder).filter(|_| !folder.is_dir()) {
        return Err(BundleError::OtherFormat { path: folder.into(), format });
    }
    match folder.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_hub_name(folder) => {
            return Err(BundleError::HubName { name: folder.into() });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BundleError::NotFound { folder: folder.into() }),
        Err(error) => return Err(unreadable(error).into()),
        Ok(metadata) if !metadata.is_dir() => {
            let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return Err(BundleError::NotAFolder { path: folder.into(), folder: above.into() });
        }
        Ok(_) => {}
    }
    match folder.read_dir().map_err(unreadable)?.next() {
        Some(_) => Ok(()),
        None => Err(BundleError::EmptyFolder { folder: folder.into() }),
    }
}

/// Checks what only the graph itself could tell about the variant.
fn check_variant(folder: &Path, variants: &[Variant], place: usize, options: &OpenOptions) -> Result<(), BundleError> {
    let variant = &variants[place];
    if variant.precision == Some(Precision::NormalFloat4) {
        return Err(unsupported(variant, variants));
    }
    match &options.variant {
        Some(wanted) if !variant.is_meant_by(wanted) => Err(unknown(folder, wanted, variants)),
        _ => Ok(()),
    }
}

/// The names of the graph's inputs and outputs. A type that is not known to run is told where the graph is no decoder that goes on
/// from what it computed before.
fn io_names(
    folder: &Path,
    decoder: Option<&Decoder>,
    file: &Path,
    graph: &Graph,
    architecture: &Architecture,
) -> Result<IoNames, BundleError> {
    match IoNames::new(folder, decoder, file, graph) {
        Err(error @ BundleError::MissingValue { .. }) => Err(architecture.no_decoder().unwrap_or(error)),
        Ok(names) if !names.has_past(graph) => architecture.no_decoder().map_or(Ok(names), Err),
        names => names,
    }
}

fn read(file: &Path, weights: &mut MappedWeights) -> Result<Graph, BundleError> {
    Graph::read(&weights.model(), weights).map_err(|source| match source {
        OnnxError::Part(error) => error.into(),
        source => BundleError::Onnx { path: file.into(), source },
    })
}

/// The sentence of [`Bundle::choice`].
fn describe(folder: &Path, variant: &Variant, reason: &str) -> String {
    let file = variant.file.strip_prefix(folder).unwrap_or(&variant.file).display();
    let precision = variant.precision.map_or("unknown precision", Precision::name);
    format!("{file} ({precision}, {:.1} MB): {reason}", variant.bytes as f64 / 1e6)
}
