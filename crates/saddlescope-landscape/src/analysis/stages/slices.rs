//! Which cuts and surfaces a selection asks for.

use super::super::requests::DirectionRequest;
use super::super::selection::Selection;
use super::super::stage::{AnyStage, Env};
use super::cuts::CutStage;
use super::lines::{LARGEST, Reach, SMALLEST, reach_of};
use super::surfaces::{Axes, SurfaceStage};

/// Heading of the plane of the extreme eigenvectors.
pub(crate) const HESSIAN: &str = "Hessian directions";
/// Heading of the random plane.
pub(crate) const RANDOM: &str = "Random directions";

/// The stages of all cuts and surfaces that a selection asks for.
pub(crate) fn slice_stages(selection: &Selection, env: &Env<'_>) -> Vec<Box<dyn AnyStage>> {
    let mut stages: Vec<Box<dyn AnyStage>> = Vec::new();
    let random = &selection.random;
    let both = selection.eigenpairs.as_ref().is_some_and(|e| e.largest > 0 && e.smallest > 0);
    let cut = |name: &str, direction: DirectionRequest, reach: Reach, usual: bool| {
        Box::new(CutStage { name: name.into(), direction: [direction], reach, random: random.clone(), usual })
    };
    if let Some(cuts) = &selection.cuts {
        let reach = |place: usize| match cuts.hessian_radius {
            Some(r) => Reach::Radius(r[place], cuts.points),
            None => Reach::FromCurvature(cuts.points),
        };
        if let Some(pairs) = &selection.eigenpairs {
            if pairs.largest > 0 {
                stages.push(cut("lambda-max", LARGEST, reach(0), true));
            }
            if pairs.smallest > 0 {
                stages.push(cut("lambda-min", SMALLEST, reach(1), true));
            }
        }
        let direction = DirectionRequest::Filtered { stream: 0 };
        stages.push(cut("random", direction, Reach::Radius(random.radius, cuts.points), true));
    }
    for request in &selection.slices.requests {
        if let [direction] = request.directions.as_slice() {
            let reach = reach_of(selection, request.axes.first().copied().flatten());
            stages.push(cut(&request.name, direction.clone(), reach, false));
        }
    }
    let mut splits = vec![(false, env.subject.main.name)];
    splits.extend(env.subject.other.map(|s| (true, s.name)));
    let surface =
        |plane: &str, heading: &str, directions: [DirectionRequest; 2], axes: Axes, split: (bool, &str)| {
            SurfaceStage {
                plane: plane.into(),
                heading: heading.into(),
                labels: (heading == RANDOM).then(|| "random".into()),
                directions,
                axes,
                other: split.0,
                split: split.1.into(),
                random: random.clone(),
                usual: heading == RANDOM || heading == HESSIAN,
                adaptive: selection.adaptive,
            }
        };
    for &split in &splits {
        if let Some(surfaces) = &selection.surfaces {
            if both {
                let axes = Axes::Hessian(surfaces.hessian_radius, surfaces.grid);
                stages.push(Box::new(surface("hessian", HESSIAN, [LARGEST, SMALLEST], axes, split)));
            }
            let reach = Reach::Radius(random.radius, surfaces.grid);
            let axes = Axes::Each([reach.clone(), reach]);
            let directions = [0, 1].map(|stream| DirectionRequest::Filtered { stream });
            stages.push(Box::new(surface("random", RANDOM, directions, axes, split)));
        }
        for request in &selection.slices.requests {
            if let [u, v] = request.directions.as_slice()
                && (request.other || !split.0)
            {
                let reach = |i: usize| reach_of(selection, request.axes.get(i).copied().flatten());
                let axes = Axes::Each([reach(0), reach(1)]);
                let directions = [u.clone(), v.clone()];
                stages.push(Box::new(surface(&request.name, &request.name, directions, axes, split)));
            }
        }
    }
    if let Some(surfaces) = selection.surfaces.as_ref().filter(|_| both) {
        let axes = Axes::Neighbourhood(surfaces.grid);
        stages.push(Box::new(surface("hessian-zoom", HESSIAN, [LARGEST, SMALLEST], axes, splits[0])));
    }
    stages
}
