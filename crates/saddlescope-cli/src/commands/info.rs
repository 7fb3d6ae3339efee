//! `saddlescope info`: layers, parameters, operations and memory of a model.

use clap::{Arg, Args};
use saddlescope::data::{DataSource, Split};
use saddlescope::model;
use saddlescope::nn::graph::{Graph, ParameterKind, Source};
use saddlescope::nn::network::Network;
use saddlescope::onnx::{Ending, ImportOptions, OnnxModel};

use crate::failure::Failure;
use crate::subject::SubjectArguments;
use crate::terminal;

/// Samples of a profile where nobody says how many.
const PROFILED: usize = 16;

/// Arguments as given: those of the verbs that compute, with the model in the first place.
#[derive(Debug, Args)]
#[command(mut_args(argument))]
pub struct Arguments {
    #[command(flatten)]
    subject: SubjectArguments,

    /// Shape of an input of an .onnx file with open dimensions, batch first: x=1,3,32,32 (repeatable); without a name where
    /// there is one input.
    #[arg(long, value_name = "[NAME=]N,…", conflicts_with_all = ["data", "profile"])]
    shape: Vec<String>,

    /// Time a Hessian-vector product by kind of operation: milliseconds, GFLOP/s and GB/s, and which operation costs most. Needs weights
    /// and data.
    #[arg(long)]
    profile: bool,
}

/// The common options as this verb has them.
fn argument(argument: Arg) -> Arg {
    match argument.get_id().as_str() {
        "model" => argument.long(None).index(1),
        "weights" => argument.help("Weights to check against the network"),
        "data" => argument
            .help("Data whose shapes an .onnx file with open dimensions takes, and whose samples --profile takes"),
        "one_sample" => argument
            .help("All of the data are one sample, as for `analyze`; `--shape` then has no batch")
            .long_help(None),
        "split" => argument.help("Split whose samples --profile takes").requires("profile"),
        "samples" => argument
            .help(format!(
                "Samples for --profile: A..B or a number [default: the first {PROFILED}, or all where there are fewer]"
            ))
            .requires("profile"),
        "memory" => argument
            .help("Memory in MiB for which --profile loads the data: as for `analyze`, no activations are held between products then")
            .requires("profile"),
        "dtype" => argument.help("Number type of the product [default: f32]").requires("profile"),
        "normalize" | "loss" | "weight_decay" | "batch_norm" | "params" | "freeze" => argument.requires("profile"),
        // There are no cuts and surfaces here.
        "slice_samples" => argument.hide(true),
        _ => argument,
    }
}

/// Prints the tables.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.subject.slice_samples.is_some() {
        return Err(Failure::bad_input("--slice-samples: info makes no cuts and no surfaces"));
    }
    if arguments.profile {
        return profile(arguments.subject);
    }
    let shapes = shapes(&arguments)?;
    let described = model::describe(&arguments.subject.model, arguments.subject.weights.as_deref(), &shapes)
        .map_err(|e| Failure::BadInput(anyhow::Error::new(e)))?;
    let network = &described.network;
    terminal::print(format!("{}: {} parameters", network.name, network.parameter_count()))?;
    if let Some(onnx) = &described.onnx {
        print_import(onnx)?;
    }
    print_parameters(&network.graph, described.onnx.as_deref())?;
    print_layers(network)?;
    for note in &described.notes {
        terminal::print(format!("note: {note}"))?;
    }
    Ok(())
}

/// Times a product and prints what each kind of operation took, the dearest first.
fn profile(arguments: SubjectArguments) -> Result<(), Failure> {
    let (arguments, few) = if arguments.samples.is_some() || arguments.one_sample {
        (arguments, None)
    } else {
        let (first, count) = arguments.first_samples(PROFILED)?;
        (first, (count < PROFILED).then_some(count))
    };
    let subject = arguments.subject(false)?;
    let theta = &subject.model.theta;
    let found = subject.risk.profile(theta, &vec![1.0; theta.len()]);
    let found = found.map_err(|e| Failure::Failed(anyhow::Error::new(e)))?;
    for line in &subject.about {
        terminal::print(line)?;
    }
    if let Some(count) = few {
        terminal::print(format!(
            "These are all samples that there are, fewer than the usual {PROFILED}: {count}."
        ))?;
    }
    for note in &subject.model.notes {
        terminal::print(format!("note: {note}"))?;
    }
    terminal::print(format!(
        "\nOne Hessian-vector product in {}, {} threads:\n",
        subject.risk.dtype(),
        rayon::current_num_threads()
    ))?;
    terminal::print(found)?;
    Ok(())
}

/// How the file is read, with the shapes of one sample that the options give.
fn shapes(arguments: &Arguments) -> Result<ImportOptions, Failure> {
    let subject = &arguments.subject;
    let mut options = subject.import_options(None)?;
    if let Some(text) = &subject.data {
        let bad = |e| Failure::BadInput(anyhow::Error::new(e).context("--data"));
        let source = DataSource::parse(text).map_err(bad)?;
        let data = match subject.one_sample {
            true => source.load_one_sample(Split::Train, None),
            false => source.load(Split::Train, Some(0..1), None),
        };
        options.sample_shapes = ImportOptions::for_dataset(&data.map_err(bad)?).sample_shapes;
        return Ok(options);
    }
    for text in &arguments.shape {
        // Names may hold `=`; lengths do not.
        let (name, lengths) = text.rsplit_once('=').unwrap_or(("", text));
        let lengths: Option<Vec<usize>> = lengths.split(',').map(|n| n.trim().parse().ok()).collect();
        let lengths = lengths.as_deref();
        let sample = if subject.one_sample { lengths } else { lengths.and_then(|l| l.get(1..)) };
        let Some(sample) = sample else {
            return Err(Failure::bad_input(format!(
                "--shape {text}: expected lengths with the batch first, such as x=1,3,32,32"
            )));
        };
        options.sample_shapes.insert(name.into(), sample.to_vec());
    }
    Ok(options)
}

/// Where the file came from, what goes in, what comes out.
fn print_import(onnx: &OnnxModel) -> Result<(), Failure> {
    let by = if onnx.producer.is_empty() { "an unnamed program" } else { &onnx.producer };
    terminal::print(format!("written by {by}, operator set {}", onnx.opset))?;
    for input in &onnx.inputs {
        terminal::print(format!("input {}: {} {:?} a sample", input.name, input.element, input.shape))?;
    }
    terminal::print(match onnx.ending {
        Ending::Plain => "output: logits or values",
        Ending::Softmax => "output: class probabilities (softmax)",
        Ending::LogSoftmax => "output: logarithms of class probabilities (log-softmax)",
        Ending::Sigmoid => "output: probabilities (sigmoid)",
        Ending::Loss => "output: the model's own loss",
    })?;
    Ok(())
}

fn kind(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::ConvFilter => "convolution filter",
        ParameterKind::LinearWeight => "linear weight",
        ParameterKind::LinearWeightTransposed => "linear weight [in, out]",
        ParameterKind::Bias => "bias",
        ParameterKind::Normalization => "normalisation",
        ParameterKind::Embedding => "embedding",
        ParameterKind::Other => "other",
    }
}

/// What is differentiated, what is not, and what is left out.
fn print_parameters(graph: &Graph, onnx: Option<&OnnxModel>) -> Result<(), Failure> {
    let row = |name: &str, shape: &[usize], kind: &str| {
        vec![name.to_string(), format!("{shape:?}"), kind.to_string()]
    };
    let rows = graph.parameters().iter().map(|p| row(&p.name, &p.shape, kind(p.kind))).collect();
    table("parameters", rows, 3)?;
    let rows: Vec<_> = graph.buffers().iter().map(|b| row(&b.name, &b.shape, "")).collect();
    table("buffers (not differentiated)", rows, 2)?;
    if let Some(onnx) = onnx {
        let rows = onnx.constants.iter().map(|(name, why)| vec![name.clone(), why.clone()]).collect();
        table("taken for constants rather than parameters", rows, 2)?;
        let rows = onnx.unused.iter().map(|name| vec![name.clone()]).collect();
        table("not used by the output, left out", rows, 1)?;
    }
    Ok(())
}

fn print_layers(network: &Network) -> Result<(), Failure> {
    let bad = |e| Failure::BadInput(anyhow::Error::new(e));
    let graph = &network.graph;
    let shapes = graph.infer_shapes(1).map_err(bad)?;
    let mut total = 0;
    let mut rows = Vec::new();
    for node in graph.nodes() {
        let inputs: Vec<&[usize]> = node.inputs.iter().map(|v| shapes[v.index()].as_slice()).collect();
        let output = &shapes[node.output.index()];
        let flops = node.op.flops(&inputs, output);
        total += flops;
        let weights: usize = (node.inputs.iter())
            .filter(|v| matches!(graph.source(**v), Source::Parameter(_)))
            .map(|v| shapes[v.index()].iter().product::<usize>())
            .sum();
        rows.push(vec![
            node.name.clone(),
            node.op.name().to_string(),
            format!("{:?}", &output[1.min(output.len())..]),
            format!("{weights} parameters"),
            format!("{:.2} MFLOP", flops as f64 / 1e6),
        ]);
    }
    table("layers (shapes for one sample)", rows, 3)?;
    let workspace = network.workspace_len(1).map_err(bad)?;
    terminal::print(format!(
        "\nforward pass {:.1} MFLOP a sample; a Hessian-vector product about eight times as much; {:.1} MiB of activations a \
         sample and thread in f32",
        total as f64 / 1e6,
        workspace as f64 * 4.0 / f64::from(1 << 20)
    ))?;
    Ok(())
}

/// Prints rows under a title with aligned columns: the first `left` to the left, the others to the right. Nothing if there are
/// no rows.
fn table(title: &str, rows: Vec<Vec<String>>, left: usize) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    terminal::print(format!("\n{title}"))?;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(c, (text, &width))| {
            if c < left { format!("{text:<width$}") } else { format!("{text:>width$}") }
        });
        terminal::print(format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end()))?;
    }
    Ok(())
}
