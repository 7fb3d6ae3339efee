//! Which planes and cuts are evaluated: those of the analysis, or those that were asked for.

use crate::risk::Curvature;

use super::eigen::EigenStage;
use super::error::AnalysisError;
use super::folder::RunFolder;
use super::monitor::Monitor;
use super::options::AnalysisOptions;
use super::results::{End, EscapeResult};
use super::slice_request::{DirectionRequest, NamedDirection, SliceRequest, eigen_direction};
use super::slices::{self, Cut, CutRequest, NamedSurface, radius, shown_change, symmetric_axis};
use super::subject::{Split, Subject};
use crate::axis::Axis;
use crate::numeric::dot;
use crate::plane::Plane;
use crate::risk::Point;

/// What is known of the point before anything is drawn.
pub struct Known<'a> {
    /// The subject.
    pub subject: &'a Subject<'a>,
    /// The risk near θ.
    pub near: &'a dyn Point,
    /// The extreme eigenpairs, if there are any.
    pub stage: Option<&'a EigenStage>,
    /// ∇L(θ).
    pub gradient: &'a [f64],
    /// L(θ).
    pub loss: f64,
    /// The way out along negative curvature, if one was looked for.
    pub escape: Option<&'a EscapeResult>,
}

/// A plane to be evaluated.
struct PlaneRequest {
    name: String,
    heading: String,
    plane: Plane,
    axes: [Axis; 2],
    words: [String; 2],
    labels: [String; 2],
    zoom: bool,
}

impl PlaneRequest {
    fn new(
        name: &str,
        heading: &str,
        theta: &[f64],
        directions: [NamedDirection; 2],
        axes: [Axis; 2],
    ) -> Result<Self, AnalysisError> {
        let [u, v] = directions;
        Ok(Self {
            name: name.into(),
            heading: heading.into(),
            labels: [format!("$\\alpha$ ({})", u.label), format!("$\\beta$ ({})", v.label)],
            words: [u.words, v.words],
            plane: Plane::new(theta.to_vec(), u.direction, v.direction)?,
            axes,
            zoom: false,
        })
    }
}

impl Known<'_> {
    /// Curvature vᵀHv along a direction: λ where the direction is an eigenvector, one product otherwise.
    fn curvature(&self, direction: &NamedDirection) -> Result<f64, AnalysisError> {
        if let crate::direction::Origin::Eigenvector { value, .. } = direction.direction.origin() {
            return Ok(*value);
        }
        let v = direction.direction.vector();
        let mut hv = vec![0.0; v.len()];
        self.near.product(Curvature::Hessian, v, &mut hv)?;
        Ok(dot(v, &hv))
    }

    fn cut(&self, name: &str, direction: NamedDirection, axis: CutAxis) -> Result<CutRequest, AnalysisError> {
        let curvature = self.curvature(&direction)?;
        let axis = match axis {
            CutAxis::Given(axis) => axis,
            CutAxis::Radius(r, points) => symmetric_axis(r, points)?,
            CutAxis::FromCurvature(points) => {
                symmetric_axis(radius(shown_change(self.loss), curvature), points)?
            }
        };
        Ok(CutRequest {
            name: name.into(),
            slope: dot(direction.direction.vector(), self.gradient),
            words: direction.words,
            direction: direction.direction,
            curvature,
            axis,
        })
    }

    /// The cuts of an analysis: along both extreme eigenvectors and along a random direction.
    fn usual_cuts(&self, options: &AnalysisOptions) -> Result<Vec<CutRequest>, AnalysisError> {
        let mut cuts = Vec::new();
        if options.cut_points == 0 {
            return Ok(cuts);
        }
        for (place, end, name) in [(0, End::Largest, "lambda-max"), (1, End::Smallest, "lambda-min")] {
            let Some(stage) = self.stage else { continue };
            let Some(direction) = eigen_direction(stage, end, 1)? else { continue };
            let axis = match options.hessian_radius {
                Some(r) => CutAxis::Radius(r[place], options.cut_points),
                None => CutAxis::FromCurvature(options.cut_points),
            };
            cuts.push(self.cut(name, direction, axis)?);
        }
        let direction = random(self, options, 0)?;
        cuts.push(self.cut(
            "random",
            direction,
            CutAxis::Radius(options.random_radius, options.cut_points),
        )?);
        Ok(cuts)
    }

    /// The planes of an analysis: Hessian directions and random ones, and the neighbourhood of the point in the former.
    fn usual_planes(&self, options: &AnalysisOptions) -> Result<Vec<PlaneRequest>, AnalysisError> {
        let mut planes = Vec::new();
        if options.grid == 0 {
            return Ok(planes);
        }
        let theta = self.subject.theta();
        let change = shown_change(self.loss);
        let mut zoom = None;
        if let Some(stage) = self.stage
            && let (Some((top, _)), Some((bottom, _))) = (stage.largest(), stage.smallest())
            && let (Some(u), Some(v)) =
                (eigen_direction(stage, End::Largest, 1)?, eigen_direction(stage, End::Smallest, 1)?)
        {
            let around = |change: f64| [top.value, bottom.value].map(|curvature| radius(change, curvature));
            let mut radii = options.hessian_radius.unwrap_or(around(change));
            if options.hessian_radius.is_none()
                && let Some(e) = self.escape
            {
                // The smallest loss along negative curvature should lie well inside the picture.
                radii[1] = radii[1].max(1.6 * e.step.abs());
            }
            let square = |r: [f64; 2]| -> Result<[Axis; 2], AnalysisError> {
                Ok([symmetric_axis(r[0], options.grid)?, symmetric_axis(r[1], options.grid)?])
            };
            let whole = PlaneRequest::new("hessian", "Hessian directions", theta, [u, v], square(radii)?)?;
            // Both axes of the zoomed inset change the quadratic model by the same small amount.
            zoom = Some(PlaneRequest {
                name: "hessian-zoom".into(),
                axes: square(around(0.05 * change))?,
                zoom: true,
                heading: whole.heading.clone(),
                plane: whole.plane.clone(),
                words: whole.words.clone(),
                labels: whole.labels.clone(),
            });
            planes.push(whole);
        }
        let mut directions = [random(self, options, 0)?, random(self, options, 1)?];
        directions.iter_mut().for_each(|d| d.label = "random".into());
        let axis = symmetric_axis(options.random_radius, options.grid)?;
        planes.push(PlaneRequest::new("random", "Random directions", theta, directions, [axis, axis])?);
        planes.extend(zoom);
        Ok(planes)
    }

    /// One slice that was asked for.
    fn requested(
        &self,
        request: &SliceRequest,
        options: &AnalysisOptions,
    ) -> Result<Requested, AnalysisError> {
        let mut directions = Vec::new();
        let mut axes = Vec::new();
        for (i, wanted) in request.directions.iter().enumerate() {
            let direction = wanted.resolve(self.subject, self.stage, options)?;
            axes.push(match request.axes.get(i).copied().flatten() {
                Some(axis) => axis,
                None if direction.filtered => symmetric_axis(options.random_radius, options.grid)?,
                None => {
                    let curvature = self.curvature(&direction)?;
                    symmetric_axis(radius(shown_change(self.loss), curvature), options.grid)?
                }
            });
            directions.push(direction);
        }
        let mut directions = directions.into_iter();
        match (directions.next(), directions.next(), axes.as_slice()) {
            (Some(u), Some(v), &[a, b]) => Ok(Requested::Plane(PlaneRequest::new(
                &request.name,
                &request.name,
                self.subject.theta(),
                [u, v],
                [a, b],
            )?)),
            (Some(u), None, &[a]) => Ok(Requested::Cut(self.cut(&request.name, u, CutAxis::Given(a))?)),
            _ => Err(AnalysisError::Other(format!(
                "slice {}: {} directions; expected one or two",
                request.name,
                request.directions.len()
            ))),
        }
    }
}

enum Requested {
    Cut(CutRequest),
    Plane(PlaneRequest),
}

enum CutAxis {
    Given(Axis),
    Radius(f64, usize),
    FromCurvature(usize),
}

/// Random direction number `stream` of the analysis, filter-normalised.
fn random(
    known: &Known<'_>,
    options: &AnalysisOptions,
    stream: u64,
) -> Result<NamedDirection, AnalysisError> {
    DirectionRequest::Filtered { stream }.resolve(known.subject, known.stage, options)
}

/// Evaluates every cut and surface that the options ask for.
///
/// # Errors
/// Cancelled, directions of no use, or a folder that cannot be written.
pub fn draw(
    known: &Known<'_>,
    options: &AnalysisOptions,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<(Vec<Cut>, Vec<NamedSurface>), AnalysisError> {
    let (mut cuts, mut planes) = if options.slices.is_empty() {
        (known.usual_cuts(options)?, known.usual_planes(options)?)
    } else {
        (Vec::new(), Vec::new())
    };
    for request in &options.slices {
        match known.requested(request, options)? {
            Requested::Cut(cut) => cuts.push(cut),
            Requested::Plane(plane) => planes.push(plane),
        }
    }
    let subject = known.subject;
    let cuts = cuts.iter().map(|c| slices::cut(c, subject, folder, monitor)).collect::<Result<_, _>>()?;
    let mut splits = vec![subject.slice_split()];
    splits.extend(subject.other);
    let mut surfaces = Vec::new();
    let mut evaluate = |request: &PlaneRequest, split: Split<'_>| -> Result<(), AnalysisError> {
        let name = format!("{}-{}", request.name, split.name);
        let surface = slices::surface(&name, split.risk, &request.plane, request.axes, folder, monitor)?;
        surfaces.push(NamedSurface {
            name,
            split: split.name.into(),
            directions: request.words.clone(),
            labels: request.labels.clone(),
            heading: request.heading.clone(),
            zoom: request.zoom,
            surface,
        });
        Ok(())
    };
    for split in splits {
        for request in planes.iter().filter(|p| !p.zoom) {
            evaluate(request, split)?;
        }
    }
    for request in planes.iter().filter(|p| p.zoom) {
        evaluate(request, subject.slice_split())?;
    }
    Ok((cuts, surfaces))
}
