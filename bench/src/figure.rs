//! What several rounds said of one thing.

/// The median of some rounds, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Figure {
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), least, most })
    }

    /// `median (least-most)`, all three to as many digits as the median needs for three significant ones.
    pub(crate) fn text(self) -> String {
        let digits = match self.median.abs() {
            large if large >= 100.0 => 0,
            middle if middle >= 10.0 => 1,
            small if small >= 1.0 => 2,
            _ => 3,
        };
        format!("{:.digits$} ({:.digits$}-{:.digits$})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_and_the_range() {
        let odd = Figure::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(odd, Figure { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Figure::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Figure::of([]), None);
    }

    #[test]
    fn text_has_the_digits_that_mean_something() {
        let text = |median| Figure { median, least: 0.0, most: 1000.0 }.text();
        assert_eq!(text(1234.5), "1234 (0-1000)");
        assert_eq!(text(12.345), "12.3 (0.0-1000.0)");
        assert_eq!(text(0.0989), "0.099 (0.000-1000.000)");
    }
}
