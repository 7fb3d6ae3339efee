//! `saddlescope info`: layers, parameters, operations and memory of a model.

use std::path::PathBuf;

use clap::Args;
use saddlescope::engine::graph::Source;
use saddlescope::engine::plan::{Pass, Plan};
use saddlescope::model;

use crate::failure::Failure;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name or description of a network, or an .onnx file.
    #[arg(value_name = "MODEL")]
    model: String,

    /// Weights to check against the network.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// Prints the table.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let bad = |e: model::ModelError| Failure::BadInput(anyhow::Error::new(e));
    let (network, notes) = match &arguments.weights {
        Some(path) => {
            model::load(&arguments.model, Some(path), None).map(|m| (m.network, m.notes)).map_err(bad)?
        }
        None => model::describe(&arguments.model).map_err(bad)?,
    };
    let graph = &network.graph;
    let shapes = graph.infer_shapes(1).map_err(|e| Failure::BadInput(anyhow::Error::new(e)))?;
    terminal::print(format!("{}: {} parameters\n", network.name, network.parameter_count()))?;
    terminal::print("parameters")?;
    for p in graph.parameters() {
        terminal::print(format!("  {:<48} {:<22} {:?}", p.name, format!("{:?}", p.shape), p.kind))?;
    }
    terminal::print("\nlayers (shapes for one sample)")?;
    let mut total = 0;
    for node in graph.nodes() {
        let inputs: Vec<&[usize]> = node.inputs.iter().map(|v| shapes[v.index()].as_slice()).collect();
        let output = &shapes[node.output.index()];
        let flops = node.op.flops(&inputs, output);
        total += flops;
        let weights: usize = (node.inputs.iter())
            .filter(|v| matches!(graph.source(**v), Source::Parameter(_)))
            .map(|v| shapes[v.index()].iter().product::<usize>())
            .sum();
        terminal::print(format!(
            "  {:<40} {:<20} {:<20} {:>10} parameters {:>10.2} MFLOP",
            node.name,
            node.op.name(),
            format!("{:?}", &output[1.min(output.len())..]),
            weights,
            flops as f64 / 1e6
        ))?;
    }
    let plan = Plan::compile(graph, &[network.output], 1, Pass::Hessian)
        .map_err(|e| Failure::BadInput(anyhow::Error::new(e)))?;
    terminal::print(format!(
        "\nforward pass {:.1} MFLOP a sample; a Hessian-vector product about eight times as much; {:.1} MiB of activations a \
         sample and thread in f32",
        total as f64 / 1e6,
        plan.workspace_len(1) as f64 * 4.0 / f64::from(1 << 20)
    ))?;
    for note in notes {
        terminal::print(format!("note: {note}"))?;
    }
    Ok(())
}
