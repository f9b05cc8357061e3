//! The drawing: CPU time per call and calls per second, as bars. SVG by hand: three kinds of elements need no crate.

use std::fmt::Write as _;

use crate::load::Sample;
use crate::run::{Method, Seen, Subject};
use crate::server::Kind;

const WIDTH: f64 = 880.0;
const PANEL: f64 = 420.0;
/// Where bars begin, within a panel.
const LEFT: f64 = 124.0;
const LONGEST: f64 = 190.0;
const BAR: f64 = 18.0;
/// The load that is drawn.
const SHOWN: usize = 64;

/// One panel: its title, what it shows, and how the number is written.
struct Panel {
    title: &'static str,
    part: fn(&Sample) -> f64,
    digits: usize,
}

const PANELS: [Panel; 2] = [
    Panel { title: "CPU seconds per 1,000 calls", part: |sample| sample.cpu_per_thousand, digits: 3 },
    Panel {
        title: "calls per second, on a shared machine",
        part: |sample| sample.calls_per_second,
        digits: 0,
    },
];

pub(crate) fn draw(seen: &Seen) -> anyhow::Result<String> {
    let mut bars = String::new();
    let mut height = 0.0_f64;
    for (at, panel) in (0_u8..).zip(&PANELS) {
        height = height.max(self::panel(&mut bars, seen, panel, f64::from(at) * PANEL + 20.0)?);
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{bars}</svg>\n"
    ))
}

/// Draws one panel and returns where it ends.
fn panel(svg: &mut String, seen: &Seen, panel: &Panel, x: f64) -> anyhow::Result<f64> {
    let mut y = 28.0;
    writeln!(svg, "<text x=\"{x}\" y=\"{y}\" font-weight=\"bold\">{}</text>", panel.title)?;
    let mut most = 0.0_f64;
    for (method, subject) in Method::ALL
        .into_iter()
        .flat_map(|method| method.subjects().into_iter().map(move |subject| (method, subject)))
    {
        most = most.max(seen.figure((method, SHOWN, subject), panel.part)?.most);
    }
    for method in Method::ALL {
        y += 26.0;
        let name = method.name().replace('`', "");
        writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"#555555\">{name}, {SHOWN} in flight</text>")?;
        y += 8.0;
        for subject in method.subjects() {
            let figure = seen.figure((method, SHOWN, subject), panel.part)?;
            let (start, middle) = (x + LEFT, y + BAR * 0.72);
            let length = |value: f64| value / most * LONGEST;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
                start - 6.0,
                subject.name()
            )?;
            writeln!(
                svg,
                "<rect x=\"{start}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>",
                length(figure.median).max(1.0),
                BAR - 4.0,
                colour(subject)
            )?;
            // From the least round to the greatest.
            writeln!(
                svg,
                "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{mid}\" y2=\"{mid}\" stroke=\"#222222\"/>",
                start + length(figure.least),
                start + length(figure.most),
                mid = y + (BAR - 4.0) / 2.0
            )?;
            let (value, digits) = (figure.median, panel.digits);
            writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{middle}\">{value:.digits$}</text>",
                start + length(figure.most) + 6.0
            )?;
            y += BAR;
        }
    }
    Ok(y + 14.0)
}

fn colour(subject: Subject) -> &'static str {
    match subject {
        Subject::Server(Kind::Conductor) => "#c2571a",
        Subject::Server(Kind::Python) => "#4878a8",
        Subject::Server(Kind::Bare | Kind::BareChannels) | Subject::Driver => "#b5b5b5",
    }
}
