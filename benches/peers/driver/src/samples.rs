//! What was measured.

use serde::Serialize;
use serde_json::Value;

use crate::figures::Figure;
use crate::peers::Peer;

/// One answer of one program.
#[derive(Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) value: Option<Value>,
    pub(crate) error: Option<String>,
    /// How many cores others had meanwhile.
    pub(crate) foreign: f64,
}

impl Sample {
    pub(crate) fn failed(error: String) -> Self {
        Self { value: None, error: Some(error), foreign: 0.0 }
    }

    /// A number of the answer.
    pub(crate) fn number(&self, field: &str) -> Option<f64> {
        self.value.as_ref()?.get(field)?.as_f64()
    }
}

/// One sample with what it belongs to, and the limits before and after it.
#[derive(Serialize)]
pub(crate) struct Line {
    pub(crate) round: usize,
    figure: String,
    pub(crate) peer: &'static str,
    pub(crate) sample: Sample,
    pub(crate) limits: [Option<Sample>; 2],
    #[serde(skip)]
    pub(crate) keeps: bool,
    /// Whether others are compared with it.
    #[serde(skip)]
    pub(crate) is_measure: bool,
}

impl Line {
    /// The mean of the limits around it.
    pub(crate) fn limit(&self, field: &str) -> Option<f64> {
        let found: Vec<f64> =
            self.limits.iter().flatten().filter_map(|limit| limit.number(field)).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

/// All of a run.
#[derive(Default)]
pub(crate) struct Samples(Vec<Line>);

impl Samples {
    /// Adds one and answers it as it is kept.
    pub(crate) fn add(
        &mut self,
        round: usize,
        figure: &Figure,
        peer: &Peer,
        sample: Sample,
        limits: [Option<Sample>; 2],
    ) -> &Line {
        let (figure, keeps, is_measure) = (figure.name.clone(), peer.keeps, peer.is_measure());
        self.0.push(Line { round, figure, peer: peer.name, sample, limits, keeps, is_measure });
        &self.0[self.0.len() - 1]
    }

    /// Those of a figure, in the order in which they were taken.
    pub(crate) fn of(&self, figure: &Figure) -> Vec<&Line> {
        self.0.iter().filter(|line| line.figure == figure.name).collect()
    }
}

/// The middle value; of two middle values, the mean.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
