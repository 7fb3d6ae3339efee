//! The view of a three-dimensional box: a parallel projection onto paper.

/// A direction of view and its place on paper. The box spans ±½ in each direction before `aspect`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    right: [f64; 3],
    up: [f64; 3],
    /// Unit vector towards the viewer.
    pub(crate) eye: [f64; 3],
    aspect: [f64; 3],
    scale: f64,
    origin: [f64; 2],
}

impl View {
    /// A view from `azimuth` and `elevation` (degrees) at unit scale.
    pub(crate) fn new(azimuth: f64, elevation: f64, aspect: [f64; 3]) -> View {
        let (sa, ca) = azimuth.to_radians().sin_cos();
        let (se, ce) = elevation.to_radians().sin_cos();
        View {
            right: [-sa, ca, 0.0],
            up: [-se * ca, -se * sa, ce],
            eye: [ce * ca, ce * sa, se],
            aspect,
            scale: 1.0,
            origin: [0.0, 0.0],
        }
    }

    /// The same view, scaled and moved so that the box just fits between `x`, `y` and `x + w`, `y + h`.
    pub(crate) fn fit(mut self, x: f64, y: f64, w: f64, h: f64) -> View {
        let (mut lo, mut hi) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for corner in 0..8u8 {
            let p = self.paper([0, 1, 2].map(|i| f64::from(corner >> i & 1)));
            for i in 0..2 {
                lo[i] = lo[i].min(p[i]);
                hi[i] = hi[i].max(p[i]);
            }
        }
        self.scale = (w / (hi[0] - lo[0])).min(h / (hi[1] - lo[1]).max(1e-9));
        self.origin = [
            x + 0.5 * w - 0.5 * self.scale * (lo[0] + hi[0]),
            y + 0.5 * h - 0.5 * self.scale * (lo[1] + hi[1]),
        ];
        self
    }

    /// Place on paper of a point of the unit cube.
    pub(crate) fn paper(&self, p: [f64; 3]) -> [f64; 2] {
        let q = self.centred(p);
        [self.origin[0] + self.scale * dot(q, self.right), self.origin[1] - self.scale * dot(q, self.up)]
    }

    /// A point of the unit cube with the box's centre at 0 and its aspect applied.
    pub(crate) fn centred(&self, p: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|i| (p[i] - 0.5) * self.aspect[i])
    }
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Unit normal of the plane spanned by two vectors, pointing upwards.
pub(crate) fn normal(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    let n = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let length = dot(n, n).sqrt().max(1e-300);
    let sign = if n[2] < 0.0 { -1.0 } else { 1.0 };
    n.map(|v| sign * v / length)
}
