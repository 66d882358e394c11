//! Tables of medians, and each limit beside what was measured.

use crate::rows::{Claim, Limit, Row};
use crate::run::Figures;

pub(crate) fn row(row: &Row, found: &[Vec<Figures>]) {
    println!("\n## {}: {}\n", row.name, row.about);
    let heads: Vec<String> = row
        .columns
        .iter()
        .map(|(name, unit, _)| match *unit {
            "" => (*name).to_owned(),
            unit => format!("{name}, {unit}"),
        })
        .collect();
    println!("| | threads | {} |", heads.join(" | "));
    println!("| --- | ---: |{}", " ---: |".repeat(heads.len()));
    for ((name, threads), runs) in row.subjects.iter().zip(found) {
        let cells: Vec<String> = row
            .columns
            .iter()
            .map(|(column, _, digits)| cell(&values(runs, column), *digits))
            .collect();
        println!("| {name} | {threads} | {} |", cells.join(" | "));
    }
    println!();
    for claim in &row.claims {
        println!("- {}", judge(row, found, claim));
    }
}

fn values(runs: &[Figures], name: &str) -> Vec<f64> {
    runs.iter().filter_map(|figures| figures.get(name).copied()).collect()
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The median, and the least and the most.
fn cell(values: &[f64], digits: usize) -> String {
    let Some(middle) = median(values) else { return "-".into() };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let text = |value: f64| format!("{value:.digits$}");
    if text(least) == text(most) {
        return text(middle);
    }
    format!("**{}** {} to {}", text(middle), text(least), text(most))
}

fn judge(row: &Row, found: &[Vec<Figures>], claim: &Claim) -> String {
    let of = |subject: (&str, usize)| {
        let index = row.subjects.iter().position(|known| *known == subject)?;
        median(&values(&found[index], claim.of))
    };
    let (name, threads) = claim.subject;
    let what = format!("{name}, {threads} threads, {}", claim.of);
    let Some(ours) = of(claim.subject) else { return format!("{what}: not measured") };
    let verdict = |is_reached: bool| if is_reached { "reached" } else { "NOT REACHED" };
    let (times, others, is_least) = match &claim.limit {
        Limit::Most(most) => {
            return format!("{what}: {ours:.3}, at most {most}: {}", verdict(ours <= *most));
        }
        Limit::Times(times, others) => (*times, others, true),
        Limit::AtLeast(times, others) => (*times, others, false),
    };
    let measured = others.iter().filter_map(|other| Some((of(*other)?, *other)));
    let best = if is_least {
        measured.min_by(|a, b| a.0.total_cmp(&b.0))
    } else {
        measured.max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let Some((best, other)) = best else { return format!("{what}: nobody to compare with") };
    let ratio = ours / best;
    let spread = per_round(row, found, claim, other);
    let is_reached = if is_least { ratio <= times } else { ratio >= times };
    let bound = if is_least { "at most" } else { "at least" };
    format!(
        "{what}: {ratio:.2} of {} with {}{spread}, {bound} {times:.2}: {}",
        other.0,
        other.1,
        verdict(is_reached)
    )
}

/// The least and the most of the ratios of runs that were close in time.
fn per_round(row: &Row, found: &[Vec<Figures>], claim: &Claim, other: (&str, usize)) -> String {
    let of = |subject: (&str, usize)| {
        let index = row.subjects.iter().position(|known| *known == subject);
        index.map(|index| values(&found[index], claim.of)).unwrap_or_default()
    };
    let ratios = of(claim.subject).into_iter().zip(of(other)).map(|(a, b)| a / b);
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    match ratios.as_slice() {
        [least, .., most] => format!(" ({least:.2} to {most:.2} by round)"),
        _ => String::new(),
    }
}
