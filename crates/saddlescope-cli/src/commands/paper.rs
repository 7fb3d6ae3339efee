//! `saddlescope paper`: the paper's figures and numbers.

use super::paper_networks::{NetworkArguments, NetworkPlan};
use crate::failure::Failure;
use crate::{interrupt, terminal};
use anyhow::Context;
use clap::Args;
use saddlescope::paper::{
    Comparison, FigureResult, Finding, NumberTable, PaperError, PaperFigure, PaperOutput, make_figure,
    network_figure, paper_report, text_numbers,
};
use std::path::PathBuf;
use std::time::Instant;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Figure to make (repeatable); without it, Figures 1 to 4. Figures 5 to 7 need --weights and --data.
    #[arg(long = "figure", value_name = "NUMBER")]
    figures: Vec<u32>,

    /// Folder for figures, data, tables and the report; made if it does not exist.
    #[arg(long, value_name = "DIR", default_value = "paper")]
    out: PathBuf,

    /// Seed of every random direction.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    networks: NetworkArguments,
}

/// Arguments checked: everything that can be refused has been.
#[derive(Debug)]
struct Plan {
    figures: Vec<PaperFigure>,
    output: PaperOutput,
    seed: u64,
    networks: Option<NetworkPlan>,
    out: PathBuf,
}

/// Checks the arguments and makes the figures.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let plan = check(arguments)?;
    let start = Instant::now();
    let stop = interrupt::flag();
    let mut table = NumberTable::default();
    let mut results = Vec::new();
    // What is finished when the work stops (Ctrl-C) still gets its table and report.
    let mut stopped = None;
    let analytic: Vec<PaperFigure> = plan.figures.iter().copied().filter(|f| !f.needs_network()).collect();
    let mut finish = |figure: PaperFigure, result: FigureResult, begun: Instant| -> Result<(), Failure> {
        let saved = plan.output.figure(&result).context("the figure could not be saved")?;
        terminal::print(format!(
            "{figure}: {} (with .svg, .npz and .json; {:.1} s)",
            saved.png.display(),
            begun.elapsed().as_secs_f64()
        ))?;
        table.rows.extend(result.numbers.iter().cloned());
        results.push(result);
        Ok(())
    };
    for &figure in &analytic {
        let begun = Instant::now();
        match make_figure(figure, plan.seed, stop) {
            Ok(result) => finish(figure, result, begun)?,
            Err(error) => {
                stopped = Some(failure(error));
                break;
            }
        }
    }
    if let (Some(networks), None) = (&plan.networks, &stopped) {
        let begun = Instant::now();
        match networks.landscapes(&plan.figures, &plan.out) {
            Ok(landscapes) => {
                for &figure in &plan.figures {
                    if let Some(result) = network_figure(figure, &landscapes) {
                        finish(figure, result, begun)?;
                    }
                }
            }
            Err(error) => stopped = Some(error),
        }
    }
    if stopped.is_none() && !analytic.is_empty() {
        match text_numbers(plan.seed, stop) {
            Ok(rows) => table.rows.extend(rows),
            Err(error) => stopped = Some(failure(error)),
        }
    }
    if results.is_empty() {
        return stopped.map_or(Ok(()), Err);
    }
    let [markdown, _] = plan.output.table(&table).context("the table could not be saved")?;
    let report = paper_report(&results, &table, plan.seed);
    let report = plan.output.report(&report).context("the report could not be saved")?;
    print_table(&table)?;
    terminal::print(format!("\nTable: {} (with .json)", markdown.display()))?;
    terminal::print(format!("Report: {}", report.display()))?;
    terminal::note(format!("{:.1} s in all", start.elapsed().as_secs_f64()))?;
    stopped.map_or(Ok(()), Err)
}

fn check(arguments: Arguments) -> Result<Plan, Failure> {
    let mut figures = Vec::new();
    for number in arguments.figures {
        let figure = PaperFigure::from_number(number)
            .map_err(|error| Failure::bad_input(format!("--figure {number}: {error}")))?;
        figures.push(figure);
    }
    if figures.is_empty() {
        figures = PaperFigure::ANALYTIC.to_vec();
    }
    figures.sort_unstable();
    figures.dedup();
    let networks = arguments.networks.plan(&figures, arguments.seed)?;
    let output = PaperOutput::create(&arguments.out).map_err(|error| {
        Failure::BadInput(anyhow::Error::new(error).context(format!("--out {}", arguments.out.display())))
    })?;
    Ok(Plan { figures, output, seed: arguments.seed, networks, out: arguments.out })
}

fn failure(error: PaperError) -> Failure {
    match error {
        PaperError::Stopped { .. } => Failure::Interrupted("what was finished has been kept"),
        other => Failure::Failed(other.into()),
    }
}

/// The table in a form that fits a terminal: what differs from print first.
fn print_table(table: &NumberTable) -> anyhow::Result<()> {
    let groups = [
        (Finding::OtherWeights, "Networks (the paper's have other weights):"),
        (Finding::Differs, "Print and arithmetic differ:"),
        (Finding::Agrees, "Print and arithmetic agree:"),
        (Finding::NotPrinted, "Not printed in the paper:"),
    ];
    for (finding, heading) in groups {
        let rows: Vec<&Comparison> = table.rows.iter().filter(|row| row.finding == finding).collect();
        if rows.is_empty() {
            continue;
        }
        terminal::print(format!("\n{heading}"))?;
        for row in rows {
            let [place, quantity, printed, exact, ours, _, _, remark] = row.cells();
            let printed = if row.printed.is_empty() { String::new() } else { format!("printed {printed}; ") };
            let exact = if row.exact.is_some() { format!("exact {exact}; ") } else { String::new() };
            terminal::print(format!(
                "  {quantity} [{place}]\n    {printed}{exact}ours {ours}\n    {remark}"
            ))?;
        }
    }
    Ok(())
}
