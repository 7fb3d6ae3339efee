//! From numbers to positions along an axis, and the ticks that name them.

use super::data::Scale;
use crate::minus::minus;

/// A scale with its two ends, both finite and different.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) scale: Scale,
    pub(crate) lo: f64,
    pub(crate) hi: f64,
}

/// A labelled or unlabelled tick.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    /// Empty for a minor tick.
    pub(crate) label: String,
}

/// Ticks and the power of ten that all their labels share (0: none).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ticks {
    pub(crate) ticks: Vec<Tick>,
    pub(crate) exponent: i32,
}

impl Mapping {
    /// A mapping that shows all `values` that can be shown on `scale`, or exactly `range` when given. `pad` is the fraction
    /// of free room at each end.
    pub(crate) fn fit(
        scale: Scale,
        range: Option<[f64; 2]>,
        values: impl Iterator<Item = f64>,
        pad: f64,
    ) -> Self {
        let ok = |v: f64| v.is_finite() && (scale != Scale::Log || v > 0.0);
        if let Some([a, b]) = range.filter(|r| r[0] < r[1] && ok(r[0]) && ok(r[1])) {
            return Mapping { scale, lo: a, hi: b };
        }
        let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values.filter(|&v| ok(v)) {
            lo = lo.min(v);
            hi = hi.max(v);
        }
        if lo > hi {
            (lo, hi) = if scale == Scale::Log { (0.1, 10.0) } else { (-1.0, 1.0) };
        }
        // A constant (also up to rounding) still needs a window around it.
        let flat = (hi - lo) <= 1e-12 * lo.abs().max(hi.abs());
        if flat {
            (lo, hi) = match scale {
                Scale::Log => (lo / 2.0, hi * 2.0),
                _ if lo == 0.0 && hi == 0.0 => (-1.0, 1.0),
                _ => (lo - 0.1 * lo.abs(), hi + 0.1 * hi.abs()),
            };
            (lo, hi) = (lo.max(-f64::MAX), hi.min(f64::MAX));
        }
        let raw = Mapping { scale, lo, hi };
        let (a, b) = (raw.forward(lo), raw.forward(hi));
        let room = pad * (b - a);
        let (padded_lo, padded_hi) = (raw.inverse(a - room), raw.inverse(b + room));
        if padded_lo.is_finite() && padded_hi.is_finite() && padded_lo < padded_hi && ok(padded_lo) {
            Mapping { scale, lo: padded_lo, hi: padded_hi }
        } else {
            raw
        }
    }

    /// Whether a value has a place on this scale (not whether it lies between the ends).
    pub(crate) fn shows(&self, v: f64) -> bool {
        v.is_finite() && (self.scale != Scale::Log || v > 0.0)
    }

    /// Whether a value lies between the ends of the axis.
    pub(crate) fn holds(&self, v: f64) -> bool {
        self.shows(v) && (-1e-9..=1.0 + 1e-9).contains(&self.unit(v))
    }

    fn forward(&self, v: f64) -> f64 {
        match self.scale {
            // Halved, so that the difference of the two largest numbers is still finite.
            Scale::Linear => 0.5 * v,
            Scale::Log => v.log10(),
            Scale::SymLog { linear } => {
                let c = linear.abs().max(f64::MIN_POSITIVE);
                if v.abs() <= c { v / c } else { v.signum() * (1.0 + (v.abs() / c).log10()) }
            }
        }
    }

    fn inverse(&self, t: f64) -> f64 {
        match self.scale {
            Scale::Linear => 2.0 * t,
            Scale::Log => 10f64.powf(t),
            Scale::SymLog { linear } => {
                let c = linear.abs().max(f64::MIN_POSITIVE);
                if t.abs() <= 1.0 { t * c } else { t.signum() * c * 10f64.powf(t.abs() - 1.0) }
            }
        }
    }

    /// Position between the ends: 0 at `lo`, 1 at `hi`. NaN where the scale has no place.
    pub(crate) fn unit(&self, v: f64) -> f64 {
        if !self.shows(v) {
            return f64::NAN;
        }
        let (a, b) = (self.forward(self.lo), self.forward(self.hi));
        (self.forward(v) - a) / (b - a)
    }

    /// The value at a position between the ends.
    pub(crate) fn at(&self, unit: f64) -> f64 {
        let (a, b) = (self.forward(self.lo), self.forward(self.hi));
        self.inverse(a + unit * (b - a))
    }

    /// About `target` ticks at round values between the ends.
    pub(crate) fn ticks(&self, target: usize) -> Ticks {
        match self.scale {
            Scale::Linear => linear_ticks(self.lo, self.hi, target),
            Scale::Log => log_ticks(self.lo, self.hi, target),
            Scale::SymLog { linear } => sym_log_ticks(self, linear, target),
        }
    }
}

/// The round step (1, 2, 2.5 or 5 times a power of ten) that gives about `target` intervals.
pub(crate) fn round_step(span: f64, target: usize) -> f64 {
    let raw = span / target.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|m| m * power >= raw * 0.999).unwrap_or(10.0);
    step * power
}

fn linear_ticks(lo: f64, hi: f64, target: usize) -> Ticks {
    let span = hi - lo;
    let step = round_step(span, target);
    if !(step.is_finite() && step > 0.0) {
        let ticks = [lo, hi].map(|value| Tick { value, label: number(value) });
        return Ticks { ticks: ticks.into(), exponent: 0 };
    }
    let first = (lo / step - 1e-6).ceil();
    let last = (hi / step + 1e-6).floor();
    let count = ((last - first).max(0.0) as usize).min(100);
    let values: Vec<f64> = (0..=count).map(|i| (first + i as f64) * step).collect();
    let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let exponent =
        if largest >= 1e5 || (largest > 0.0 && largest < 1e-2) { largest.log10().floor() as i32 } else { 0 };
    let unit = 10f64.powi(exponent);
    let scaled_step = step / unit;
    let decimals = (0..=12).find(|&d| {
        let m = scaled_step * 10f64.powi(d);
        (m - m.round()).abs() < 1e-6 * m
    });
    // Far from 0 with a tiny span, labels would need too many digits: plain numbers then.
    let ticks = values
        .into_iter()
        .map(|value| {
            let value = if value.abs() < 1e-9 * step { 0.0 } else { value };
            let label = match decimals {
                Some(d) => minus(&format!("{:.*}", d as usize, value / unit)),
                None => number(value / unit),
            };
            Tick { value, label }
        })
        .collect();
    Ticks { ticks, exponent }
}

fn power_label(k: i32) -> String {
    match k {
        0 => "1".into(),
        1 => "10".into(),
        _ => format!("$10^{{{k}}}$"),
    }
}

fn log_ticks(lo: f64, hi: f64, target: usize) -> Ticks {
    let (first, last) = ((lo.log10() - 1e-9).ceil() as i32, (hi.log10() + 1e-9).floor() as i32);
    let decades = (last - first).max(0) as usize;
    let mut ticks = Vec::new();
    if decades < 2 {
        for k in (first - 1)..=last {
            for m in 1..10 {
                let value = f64::from(m) * 10f64.powi(k);
                if value < lo * (1.0 - 1e-9) || value > hi * (1.0 + 1e-9) {
                    continue;
                }
                let label = if matches!(m, 1 | 2 | 5) {
                    if (-3..5).contains(&k) {
                        minus(&format!("{:.*}", (-k).max(0) as usize, value))
                    } else if m == 1 {
                        power_label(k)
                    } else {
                        format!("${m}\\times 10^{{{k}}}$")
                    }
                } else {
                    String::new()
                };
                ticks.push(Tick { value, label });
            }
        }
        if ticks.iter().filter(|t| !t.label.is_empty()).count() < 2 {
            let t = linear_ticks(lo, hi, target);
            if t.exponent == 0 && t.ticks.len() > 1 {
                return t;
            }
        }
    } else {
        let stride = decades.div_ceil(target.max(2)).max(1) as i32;
        for k in (first - 1)..=last {
            let value = 10f64.powi(k);
            if k >= first {
                let label = if k.rem_euclid(stride) == 0 { power_label(k) } else { String::new() };
                ticks.push(Tick { value, label });
            }
            if stride == 1 && decades <= 6 {
                for m in 2..10 {
                    let value = f64::from(m) * value;
                    if value >= lo && value <= hi {
                        ticks.push(Tick { value, label: String::new() });
                    }
                }
            }
        }
    }
    Ticks { ticks, exponent: 0 }
}

fn sym_log_ticks(map: &Mapping, linear: f64, target: usize) -> Ticks {
    let c = linear.abs().max(f64::MIN_POSITIVE);
    let largest = map.lo.abs().max(map.hi.abs());
    if largest <= c {
        return linear_ticks(map.lo, map.hi, target);
    }
    let first = (c.log10() - 1e-9).ceil() as i32;
    let last = (largest.log10() + 1e-9).floor() as i32;
    let shown = |k: i32, sign: f64| (map.lo..=map.hi).contains(&(sign * 10f64.powi(k)));
    let count =
        (first..=last).map(|k| usize::from(shown(k, 1.0)) + usize::from(shown(k, -1.0))).sum::<usize>();
    let stride = (count + 1).div_ceil(target.max(3)).max(1) as i32;
    let mut ticks = vec![Tick { value: 0.0, label: "0".into() }];
    for k in first..=last {
        for sign in [-1.0, 1.0] {
            let value = sign * 10f64.powi(k);
            if !shown(k, sign) {
                continue;
            }
            let labelled = (last - k).rem_euclid(stride) == 0;
            let label = match (labelled, sign < 0.0) {
                (false, _) => String::new(),
                (true, false) => power_label(k),
                (true, true) if (0..=1).contains(&k) => format!("−{}", power_label(k)),
                (true, true) => format!("$-10^{{{k}}}$"),
            };
            ticks.push(Tick { value, label });
        }
    }
    ticks.retain(|t| t.value >= map.lo && t.value <= map.hi);
    ticks.sort_by(|a, b| a.value.total_cmp(&b.value));
    // A label next to 0 must not run into the 0.
    let zero = map.unit(0.0);
    for tick in &mut ticks {
        if tick.value != 0.0 && (map.unit(tick.value) - zero).abs() < 0.07 {
            tick.label.clear();
        }
    }
    Ticks { ticks, exponent: 0 }
}

/// A number in at most four significant digits, `1.234`, `−16.4`, `5008`, `$1.2\times 10^{-5}$`.
pub(crate) fn number(v: f64) -> String {
    if v.is_nan() {
        return "NaN".into();
    }
    if v.is_infinite() {
        return if v > 0.0 { "∞" } else { "−∞" }.into();
    }
    if v == 0.0 {
        return "0".into();
    }
    let exponent = v.abs().log10().floor() as i32;
    let trim = |s: String| {
        if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.').to_string() } else { s }
    };
    if (-4..6).contains(&exponent) {
        minus(&trim(format!("{:.*}", (3 - exponent).max(0) as usize, v)))
    } else {
        let mantissa = format!("{v:.3e}");
        let (m, e) = mantissa.split_once('e').unwrap_or((&mantissa, "0"));
        format!("${}\\times 10^{{{e}}}$", minus(&trim(m.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(map: Mapping, target: usize) -> Vec<String> {
        map.ticks(target).ticks.into_iter().map(|t| t.label).filter(|l| !l.is_empty()).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        let map = Mapping { scale: Scale::Linear, lo: -0.05, hi: 0.05 };
        assert_eq!(labels(map, 4), ["−0.050", "−0.025", "0.000", "0.025", "0.050"]);
        let map = Mapping { scale: Scale::Linear, lo: 0.0, hi: 2e6 };
        let ticks = map.ticks(4);
        assert_eq!(ticks.exponent, 6);
        assert_eq!(ticks.ticks[1].label, "0.5");
    }

    #[test]
    fn logarithmic_ticks_are_decades() {
        let map = Mapping { scale: Scale::Log, lo: 1e-3, hi: 1e4 };
        assert_eq!(labels(map, 10).len(), 8);
        let map = Mapping { scale: Scale::Log, lo: 0.3, hi: 4.0 };
        assert_eq!(labels(map, 5), ["0.5", "1", "2"]);
    }

    #[test]
    fn symmetric_logarithmic_scale_is_odd_and_invertible() {
        let map = Mapping { scale: Scale::SymLog { linear: 0.1 }, lo: -20.0, hi: 6000.0 };
        for v in [-16.4, -0.05, 0.0, 0.02, 3.0, 5007.9] {
            assert!((map.at(map.unit(v)) - v).abs() < 1e-9 * f64::max(1.0, v.abs()));
        }
        assert!(labels(map, 8).contains(&"0".to_string()));
    }

    #[test]
    fn strange_values_have_a_window() {
        for scale in [Scale::Linear, Scale::Log, Scale::SymLog { linear: 1.0 }] {
            for values in [
                vec![],
                vec![f64::NAN],
                vec![f64::INFINITY],
                vec![3.0; 4],
                vec![0.0],
                vec![-f64::MAX, f64::MAX],
            ] {
                let map = Mapping::fit(scale, None, values.iter().copied(), 0.05);
                assert!(map.lo < map.hi, "{scale:?} {values:?} {map:?}");
                assert!(map.lo.is_finite() && map.hi.is_finite());
                map.ticks(5);
            }
        }
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!(number(-16.43), "−16.43");
        assert_eq!(number(5007.94), "5008");
        assert_eq!(number(1.5e-7), "$1.5\\times 10^{-7}$");
        assert_eq!(number(0.2), "0.2");
    }
}
