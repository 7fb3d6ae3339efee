//! `--grid`: points along each side of a surface, all or only those that matter.

use std::fmt;
use std::str::FromStr;

use saddlescope::adaptive_points;

use crate::failure::Failure;
use crate::run::between;
use crate::terminal;

/// Points along each side of a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Points along each side.
    pub points: usize,
    /// Whether only those are evaluated where interpolation is wrong by more than the errors.
    pub adaptive: bool,
}

/// Points of an adaptive grid if not given.
const POINTS: usize = 33;

impl Grid {
    /// The number of points along a side, from 2 on or, where `none` may be asked for, 0. An even number becomes the next odd one, and
    /// the user is told.
    pub fn checked(self, none: bool) -> Result<usize, Failure> {
        if none && self.points == 0 {
            return Ok(0);
        }
        let given = between("--grid", self.points, 2, 2001)?;
        if given.is_multiple_of(2) {
            terminal::note(format!(
                "--grid {given}: axes around the point studied have {} points, of which it is one",
                given + 1
            ))?;
        }
        Ok(given)
    }
}

impl FromStr for Grid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (points, adaptive) = match text.split_once(':') {
            Some(("auto", points)) => (points.parse().ok(), true),
            None if text == "auto" => (Some(POINTS), true),
            _ => (text.parse().ok(), false),
        };
        // Refused elsewhere beyond 2001.
        match points.filter(|p| *p <= 1_000_000 && (!adaptive || *p > 1)) {
            Some(points) if adaptive => Ok(Self { points: adaptive_points(points), adaptive }),
            Some(points) => Ok(Self { points, adaptive }),
            None => Err("expected a number of points, auto, or auto:POINTS".into()),
        }
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.adaptive { write!(f, "auto:{}", self.points) } else { self.points.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn grids_as_written() {
        let parse = |text: &str| text.parse::<Grid>();
        assert_eq!(parse("25"), Ok(Grid { points: 25, adaptive: false }));
        assert_eq!(parse("auto"), Ok(Grid { points: 33, adaptive: true }));
        // The next number that can be halved down to the coarsest grid.
        assert_eq!(parse("auto:40"), Ok(Grid { points: 65, adaptive: true }));
        for wrong in ["", "auto:", "auto:1", "auto:x", "-3", "coarse", "auto:99999999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("auto").map(|g| g.to_string()), Ok("auto:33".into()));
    }
}
