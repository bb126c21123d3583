//! Curves as SVG: lines over a logarithmic axis, which need no program and no font to be made.

use std::fmt::Write;

/// Lines over one axis.
#[derive(Debug)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// What is counted from left to right.
    pub across: &'static str,
    /// What is measured.
    pub up: &'static str,
    /// The lines, each with a name and its points from left to right.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Where the axes are.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 540.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 360.0;
/// Told apart by who sees few colours, too.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

impl Chart {
    /// The picture. Both axes grow by factors; the one to the left begins below the least value.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points.iter().copied());
        let across = Axis::over(points().map(|point| point.0), false);
        let up = Axis::over(points().map(|point| point.1), true);
        let x = |value: f64| LEFT + across.share(value) * (RIGHT - LEFT);
        let y = |value: f64| BOTTOM - up.share(value) * (BOTTOM - TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n\
             <text x=\"{LEFT}\" y=\"38\">{}</text>\n",
            escaped(&self.title),
            escaped(self.up),
        );
        for value in up.marks() {
            let (at, label) = (y(value), short(value));
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                at + 4.0,
            );
        }
        for value in across.marks() {
            let (at, label) = (x(value), short(value));
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                BOTTOM + 18.0,
            );
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 40.0,
            escaped(self.across),
        );
        for (number, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let mut path = String::new();
            for (index, (across, up)) in points.iter().enumerate() {
                let step = if index == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{step}{:.1} {:.1}", x(*across), y(*up));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    x(*across),
                    y(*up),
                );
            }
            let at = TOP + 8.0 + 18.0 * number as f64;
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
                 <path d=\"M{} {at}h16\" stroke=\"{colour}\" stroke-width=\"2\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                RIGHT + 12.0,
                RIGHT + 34.0,
                at + 4.0,
                escaped(name),
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Values that grow by factors, from the least to the greatest.
struct Axis {
    least: f64,
    most: f64,
}

impl Axis {
    /// Over these values; if it is to be round, from one mark to another.
    fn over(values: impl Iterator<Item = f64>, is_round: bool) -> Self {
        // of what is not above zero there is no logarithm
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            (least, most) = (1.0, 10.0);
        }
        if is_round || least == most {
            let below = steps().take_while(|step| *step <= least).last();
            let above = steps().find(|step| *step >= most && Some(*step) != below);
            (least, most) = (below.unwrap_or(least), above.unwrap_or(most));
        }
        Self { least, most }
    }

    /// How far on the axis a value is, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        (value / self.least).ln() / (self.most / self.least).ln()
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        steps().filter(|step| (self.least..=self.most).contains(step))
    }
}

/// 1, 2 and 5 with all their powers of ten, from a millionth on.
fn steps() -> impl Iterator<Item = f64> {
    (-6..=12).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
}

fn short(value: f64) -> String {
    match value {
        1_000_000.0.. => format!("{} M", value / 1_000_000.0),
        1_000.0.. => format!("{} k", value / 1_000.0),
        _ => format!("{}", (value * 1_000_000.0).round() / 1_000_000.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<(String, Vec<(f64, f64)>)>) -> String {
        Chart { title: "a < b".to_owned(), across: "callers", up: "events/s", lines }.svg()
    }

    #[test]
    fn a_chart_has_a_line_for_each_row_of_points() {
        let points = vec![(1.0, 2_000.0), (32.0, 9_000.0), (1_024.0, 25_000.0)];
        let svg = chart(vec![("append".to_owned(), points), ("load".to_owned(), vec![])]);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("M80.0 "), "{svg}");
        assert!(svg.contains(">append<") && svg.contains(">load<"), "{svg}");
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn a_single_value_and_none_have_an_axis_as_well() {
        for lines in [vec![], vec![("one".to_owned(), vec![(1.0, 5.0)])]] {
            let svg = chart(lines);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn marks_are_round() {
        let axis = Axis::over([3.0, 700.0].into_iter(), true);
        assert_eq!((axis.least, axis.most), (2.0, 1_000.0));
        assert_eq!(axis.share(2.0), 0.0);
        assert_eq!(axis.share(1_000.0), 1.0);
        let labels: Vec<_> = axis.marks().map(short).collect();
        assert_eq!(labels, ["2", "5", "10", "20", "50", "100", "200", "500", "1 k"]);
    }
}
