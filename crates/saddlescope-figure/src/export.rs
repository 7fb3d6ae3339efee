//! Surfaces as triangle meshes for other programs: VTK's PolyData (.vtp, ParaView) and Wavefront (.obj).
//!
//! Every cell of the grid becomes two triangles; a cell with a corner that is not finite is left out, and so is every node
//! that then belongs to no triangle.

use std::fmt::Write;
use std::path::Path;

use super::check::{check_grid, check_length};
use super::data::Grid;
use super::error::FigureError;
use super::markup;
use super::write::write_atomic;

/// A triangle mesh of the graph of a grid.
struct Mesh {
    /// Coordinates (x, y, z) of each node.
    points: Vec<[f64; 3]>,
    /// Where each node stands in the grid.
    nodes: Vec<usize>,
    /// Counter-clockwise when seen from above, numbers of nodes.
    triangles: Vec<[usize; 3]>,
}

fn mesh(grid: &Grid) -> Mesh {
    let (nx, ny) = (grid.x.len(), grid.y.len());
    let mut number: Vec<Option<usize>> = vec![None; nx * ny];
    let mut mesh = Mesh { points: Vec::new(), nodes: Vec::new(), triangles: Vec::new() };
    for iy in 0..ny.saturating_sub(1) {
        for ix in 0..nx.saturating_sub(1) {
            let corners = [(ix, iy), (ix + 1, iy), (ix + 1, iy + 1), (ix, iy + 1)].map(|(i, j)| j * nx + i);
            if corners.iter().any(|&n| !grid.z[n].is_finite()) {
                continue;
            }
            let c = corners.map(|n| {
                *number[n].get_or_insert_with(|| {
                    mesh.points.push([grid.x[n % nx], grid.y[n / nx], grid.z[n]]);
                    mesh.nodes.push(n);
                    mesh.points.len() - 1
                })
            });
            mesh.triangles.extend([[c[0], c[1], c[2]], [c[0], c[2], c[3]]]);
        }
    }
    mesh
}

/// The factor that brings the heights of a grid to about three quarters of the longer side of its base, so that the mesh
/// can be looked at; 1 when all values are equal.
fn height_factor(grid: &Grid, mesh: &Mesh) -> f64 {
    let (lo, hi) = mesh
        .points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), p| (f64::min(lo, p[2]), f64::max(hi, p[2])));
    let side = |axis: &[f64]| axis[axis.len() - 1] - axis[0];
    let factor = 0.75 * side(&grid.x).max(side(&grid.y)) / (hi - lo);
    if factor.is_finite() && factor > 0.0 { factor } else { 1.0 }
}

/// A grid as VTK XML PolyData text. Heights are scaled to the size of the base; the values themselves are the point data
/// array named `name` (`loss`, say), and the factor is the field array `height_factor`. `more` are further arrays by name, with
/// one value for each of the grid's, in its order.
///
/// # Errors
/// When the lengths do not match or the grid's axes do not increase.
pub fn surface_to_vtp(grid: &Grid, name: &str, more: &[(&str, &[f64])]) -> Result<String, FigureError> {
    check_grid(name, grid)?;
    for (array, values) in more {
        check_length(name, array, values.len(), grid.z.len())?;
    }
    let mesh = mesh(grid);
    let factor = height_factor(grid, &mesh);
    let (points, triangles) = (mesh.points.len(), mesh.triangles.len());
    let mut values = String::new();
    let mut coordinates = String::new();
    for p in &mesh.points {
        let _ = writeln!(values, "{:e}", p[2]);
        let _ = writeln!(coordinates, "{:e} {:e} {:e}", p[0], p[1], factor * p[2]);
    }
    let mut connectivity = String::new();
    let mut offsets = String::new();
    for (i, t) in mesh.triangles.iter().enumerate() {
        let _ = writeln!(connectivity, "{} {} {}", t[0], t[1], t[2]);
        let _ = writeln!(offsets, "{}", 3 * (i + 1));
    }
    let name = markup::escape(name);
    let mut arrays = String::new();
    for (array, all) in more {
        let array = markup::escape(array);
        let _ = writeln!(arrays, r#"<DataArray type="Float64" Name="{array}" format="ascii">"#);
        for &node in &mesh.nodes {
            // VTK reads the word `nan`.
            let _ = if all[node].is_nan() {
                writeln!(arrays, "nan")
            } else {
                writeln!(arrays, "{:e}", all[node])
            };
        }
        arrays.push_str("</DataArray>\n");
    }
    Ok(format!(
        r#"<?xml version="1.0"?>
<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">
<PolyData>
<FieldData><DataArray type="Float64" Name="height_factor" NumberOfTuples="1" format="ascii">{factor:e}</DataArray></FieldData>
<Piece NumberOfPoints="{points}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" NumberOfPolys="{triangles}">
<PointData Scalars="{name}"><DataArray type="Float64" Name="{name}" format="ascii">
{values}</DataArray>
{arrays}</PointData>
<Points><DataArray type="Float64" NumberOfComponents="3" format="ascii">
{coordinates}</DataArray></Points>
<Polys><DataArray type="Int64" Name="connectivity" format="ascii">
{connectivity}</DataArray><DataArray type="Int64" Name="offsets" format="ascii">
{offsets}</DataArray></Polys>
</Piece>
</PolyData>
</VTKFile>
"#
    ))
}

/// A grid as Wavefront OBJ text, heights scaled to the size of the base; the factor is in a comment.
///
/// # Errors
/// When the grid's lengths do not match or its axes do not increase.
pub fn surface_to_obj(grid: &Grid, name: &str) -> Result<String, FigureError> {
    check_grid(name, grid)?;
    let mesh = mesh(grid);
    let factor = height_factor(grid, &mesh);
    // An object's name ends at the line's end.
    let name: String =
        name.chars().map(|c| if c.is_control() || c.is_whitespace() { '_' } else { c }).collect();
    let mut text = format!("# height = value times {factor:e}\no {name}\n");
    for p in &mesh.points {
        let _ = writeln!(text, "v {:e} {:e} {:e}", p[0], p[1], factor * p[2]);
    }
    for t in &mesh.triangles {
        let _ = writeln!(text, "f {} {} {}", t[0] + 1, t[1] + 1, t[2] + 1);
    }
    Ok(text)
}

/// Write a grid as .vtp; see [`surface_to_vtp`].
///
/// # Errors
/// As [`surface_to_vtp`], or when the file cannot be written.
pub fn write_vtp(grid: &Grid, name: &str, more: &[(&str, &[f64])], path: &Path) -> Result<(), FigureError> {
    write_atomic(path, surface_to_vtp(grid, name, more)?.as_bytes())
}

/// Write a grid as .obj; see [`surface_to_obj`].
///
/// # Errors
/// As [`surface_to_obj`], or when the file cannot be written.
pub fn write_obj(grid: &Grid, name: &str, path: &Path) -> Result<(), FigureError> {
    write_atomic(path, surface_to_obj(grid, name)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        // 4 × 3 nodes, 6 cells; the missing node takes two cells with it.
        let mut z: Vec<f64> = (0..12).map(f64::from).collect();
        z[1] = f64::NAN;
        Grid::new(vec![0.0, 1.0, 2.0, 3.0], vec![10.0, 11.0, 12.0], z)
    }

    #[test]
    fn cells_with_missing_corners_and_their_lone_nodes_are_left_out() {
        let m = mesh(&grid());
        assert_eq!(m.triangles.len(), 2 * 4);
        // Node 0 touches only a missing cell, node 1 is missing itself.
        assert_eq!(m.points.len(), 10);
        for t in &m.triangles {
            let [a, b, c] = t.map(|i| m.points[i]);
            assert!((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0.0, "seen from above");
        }
        // z = x + 4 (y − 10) on this grid: a transposed mesh would not satisfy it.
        assert!(m.points.iter().all(|p| p[2] == p[0] + 4.0 * (p[1] - 10.0)));
    }

    #[test]
    fn obj_counts_from_one_and_vtp_is_xml_with_the_values() {
        let obj = surface_to_obj(&grid(), "a\nb").unwrap();
        assert_eq!(obj.lines().filter(|l| l.starts_with("v ")).count(), 10);
        let faces: Vec<usize> = obj
            .lines()
            .filter_map(|l| l.strip_prefix("f "))
            .flat_map(|l| l.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<usize>>())
            .collect();
        assert_eq!((faces.iter().min(), faces.iter().max()), (Some(&1), Some(&10)));
        assert!(obj.contains("o a_b\n"));
        let vtp = surface_to_vtp(&grid(), "loss <train>", &[]).unwrap();
        let xml = resvg::usvg::roxmltree::Document::parse(&vtp).unwrap();
        let array = |name: &str| {
            let node = xml.descendants().find(|n| n.attribute("Name") == Some(name)).unwrap();
            node.text().unwrap().split_whitespace().map(|v| v.parse().unwrap()).collect::<Vec<f64>>()
        };
        let mut values = array("loss <train>");
        values.sort_by(f64::total_cmp);
        assert_eq!(values, (2..12).map(f64::from).collect::<Vec<f64>>());
        assert_eq!(array("connectivity").len(), 24);
        assert_eq!(array("offsets").last(), Some(&24.0));
        assert!(!vtp.contains("NaN"));
    }

    #[test]
    fn further_arrays_follow_the_nodes() {
        let double: Vec<f64> = grid().z.iter().map(|z| if *z == 5.0 { f64::NAN } else { 2.0 * z }).collect();
        let vtp = surface_to_vtp(&grid(), "loss", &[("double", &double)]).unwrap();
        let xml = resvg::usvg::roxmltree::Document::parse(&vtp).unwrap();
        let array = |name: &str| {
            let node = xml.descendants().find(|n| n.attribute("Name") == Some(name)).unwrap();
            let numbers = node.text().unwrap().split_whitespace();
            numbers.map(|v| v.parse().unwrap()).collect::<Vec<f64>>()
        };
        let (loss, double) = (array("loss"), array("double"));
        assert_eq!(loss.len(), double.len());
        for (z, d) in loss.iter().zip(&double) {
            assert!(if *z == 5.0 { d.is_nan() } else { *d == 2.0 * z });
        }
        assert!(surface_to_vtp(&grid(), "loss", &[("short", &[1.0])]).is_err());
    }
}
