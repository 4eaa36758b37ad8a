//! Names beside points: each where it touches no other name, no point, no interval and no edge. Where there is no such
//! place beside a point, its name stands further away, at the end of a line from the point.

use super::canvas::{Anchor, Area, Canvas, Place, Stroke, Type};
use super::font::width;

const SIZE: f64 = 12.5;
/// From a point to its name.
const GAP: f64 = 9.0;
const HIGH: f64 = 15.0;
/// Half of what a point takes.
const POINT: f64 = 6.0;
/// Half the width of an interval's ends, with a little air.
const WHISKER: f64 = 5.0;
/// How long lines from points to names may be, and how much longer each is than the one that was tried before.
const LONGEST: u32 = 320;
const STEP: u32 = 10;
/// Directions in which lines are tried.
const DIRECTIONS: u32 = 32;
/// So many pixels longer may a line be that crosses one thing less.
const CROSSING: f64 = 60.0;
/// More than any line is long: a line below a name is the last resort, where names surround a point.
const HIDDEN: f64 = 400.0;

/// A point and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) at: Place,
    /// The upper and the lower end of its interval.
    pub(crate) whisker: Option<(f64, f64)>,
    pub(crate) name: String,
    pub(crate) color: &'static str,
}

/// Where a name may stand.
#[derive(Debug, Clone, Copy)]
struct Spot {
    anchor: Anchor,
    baseline: Place,
    room: Area,
}

impl Spot {
    fn new(anchor: Anchor, baseline: Place, wide: f64) -> Self {
        let left = match anchor {
            Anchor::Start => baseline.0,
            Anchor::Middle => baseline.0 - wide / 2.0,
            Anchor::End => baseline.0 - wide,
        };
        Self { anchor, baseline, room: (left, baseline.1 - HIGH + 3.0, wide, HIGH) }
    }
}

/// Writes the names of points, in their order. One for which there is no room anywhere is left out: legends name all.
pub(crate) fn beside(canvas: &mut Canvas, area: Area, points: &[Named]) {
    let around = |(x, y): Place| (x - POINT, y - POINT, 2.0 * POINT, 2.0 * POINT);
    let mut taken: Vec<Area> = points.iter().map(|point| around(point.at)).collect();
    taken.extend(points.iter().filter_map(|point| {
        let (high, low) = point.whisker?;
        Some((point.at.0 - WHISKER, high, 2.0 * WHISKER, low - high))
    }));
    let mut named: Vec<(&Named, Spot)> = Vec::new();
    let mut crowded: Vec<&Named> = Vec::new();
    for point in points {
        match near(point).into_iter().find(|spot| is_free(*spot, area, &taken, &named)) {
            Some(spot) => named.push((point, spot)),
            None => crowded.push(point),
        }
    }
    let mut lines: Vec<(Place, Place)> = Vec::new();
    for point in crowded {
        // Where a line and a name meet, it is hard to tell whose the name is.
        let hidden = |spot: &Spot, end: Place| {
            named.iter().filter(|(_, other)| crosses(point.at, end, other.room)).count()
                + lines.iter().filter(|(from, to)| crosses(*from, *to, spot.room)).count()
        };
        let is_foreign = |room: &&Area| !is_within((point.at.0, point.at.1, 0.0, 0.0), **room);
        let cost = |(spot, end): &(Spot, Place)| {
            let on = taken.iter().filter(is_foreign).filter(|room| crosses(point.at, *end, **room)).count();
            let over = lines.iter().filter(|(from, to)| meet(point.at, *end, *from, *to)).count();
            length(point.at, *end) + CROSSING * (on + over) as f64 + HIDDEN * hidden(spot, *end) as f64
        };
        let free = far(point).filter(|(spot, _)| is_free(*spot, area, &taken, &named));
        if let Some((spot, end)) = free.min_by(|one, other| cost(one).total_cmp(&cost(other))) {
            canvas.line(point.at, end, Stroke::new(point.color, 0.9));
            lines.push((point.at, end));
            named.push((point, spot));
        }
    }
    for (point, spot) in named {
        canvas.text(spot.baseline, &point.name, Type::new(SIZE).anchor(spot.anchor).halo());
    }
}

/// The places on the four sides of a point.
fn near(point: &Named) -> [Spot; 4] {
    let ((x, y), wide) = (point.at, width(&point.name, SIZE, false));
    [
        Spot::new(Anchor::Start, (x + GAP, y + 4.4), wide),
        Spot::new(Anchor::End, (x - GAP, y + 4.4), wide),
        // So far above and below that names at the sides do not touch them.
        Spot::new(Anchor::Middle, (x, y - 12.0), wide),
        Spot::new(Anchor::Middle, (x, y + 20.0), wide),
    ]
}

/// Places all around a point, and where the lines to them end.
fn far(point: &Named) -> impl Iterator<Item = (Spot, Place)> + use<> {
    let ((x, y), wide) = (point.at, width(&point.name, SIZE, false));
    let lengths = (2 * STEP..=LONGEST).step_by(STEP as usize);
    lengths.flat_map(move |long| {
        (0..DIRECTIONS).map(move |direction| {
            let angle = f64::from(direction) * std::f64::consts::TAU / f64::from(DIRECTIONS);
            let end = (x + f64::from(long) * angle.cos(), y + f64::from(long) * angle.sin());
            let (anchor, aside) = if end.0 >= x { (Anchor::Start, 3.0) } else { (Anchor::End, -3.0) };
            (Spot::new(anchor, (end.0 + aside, end.1 + 4.4), wide), end)
        })
    })
}

fn is_free(spot: Spot, area: Area, taken: &[Area], named: &[(&Named, Spot)]) -> bool {
    let mut all = taken.iter().chain(named.iter().map(|(_, other)| &other.room));
    is_within(spot.room, area) && all.all(|one| !overlap(*one, spot.room))
}

fn is_within(inner: Area, outer: Area) -> bool {
    inner.0 >= outer.0
        && inner.1 >= outer.1
        && inner.0 + inner.2 <= outer.0 + outer.2
        && inner.1 + inner.3 <= outer.1 + outer.3
}

fn overlap(one: Area, other: Area) -> bool {
    one.0 < other.0 + other.2 && other.0 < one.0 + one.2 && one.1 < other.1 + other.3 && other.1 < one.1 + one.3
}

fn length(from: Place, to: Place) -> f64 {
    (to.0 - from.0).hypot(to.1 - from.1)
}

/// Whether a line meets a rectangle: ends in it, or crosses one of its diagonals.
fn crosses(from: Place, to: Place, (left, top, wide, high): Area) -> bool {
    let (right, bottom) = (left + wide, top + high);
    let is_in = |(x, y): Place| (left..=right).contains(&x) && (top..=bottom).contains(&y);
    is_in(from)
        || is_in(to)
        || meet(from, to, (left, top), (right, bottom))
        || meet(from, to, (left, bottom), (right, top))
}

/// Whether two lines cross.
fn meet(a: Place, b: Place, c: Place, d: Place) -> bool {
    let side = |p: Place, q: Place, r: Place| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

#[cfg(test)]
mod tests {
    use super::super::palette::INK;
    use super::*;

    fn named(at: Place, name: &str) -> Named {
        Named { at, whisker: None, name: name.to_owned(), color: INK }
    }

    fn written(area: Area, points: &[Named]) -> String {
        let mut canvas = Canvas::default();
        beside(&mut canvas, area, points);
        canvas.into_string()
    }

    #[test]
    fn names_in_a_crowd_stand_at_the_ends_of_lines() {
        let crowd: Vec<Named> = (0..18).map(|_| named((400.0, 150.0), "poll/hybrid, paced")).collect();
        let svg = written((0.0, 0.0, 880.0, 330.0), &crowd);
        assert_eq!(svg.matches("<text").count(), 18, "every point has its name");
        assert_eq!(svg.matches("<path").count(), 14, "four beside it, the others at lines");
    }

    #[test]
    fn no_line_runs_below_a_name() {
        let line = ((0.0, 0.0), (10.0, 10.0));
        assert!(crosses(line.0, line.1, (4.0, 4.0, 20.0, 2.0)) && crosses(line.0, line.1, (9.0, 9.0, 5.0, 5.0)));
        assert!(!crosses(line.0, line.1, (6.0, 0.0, 20.0, 5.0)) && !crosses(line.0, line.1, (11.0, 11.0, 5.0, 5.0)));
        assert!(crosses((5.0, 5.0), (6.0, 5.0), (0.0, 0.0, 20.0, 20.0)), "within it");
    }

    #[test]
    fn a_name_is_beside_an_interval_and_not_across_it() {
        let area = (0.0, 0.0, 200.0, 100.0);
        let above = |whisker| {
            let mut all = [named((100.0, 50.0), "name"), named((92.0, 50.0), "n"), named((108.0, 50.0), "n")];
            all[0].whisker = whisker;
            written(area, &all).contains(r#"x="100" y="38""#)
        };
        assert!(above(None));
        assert!(!above(Some((20.0, 80.0))));
    }

    #[test]
    fn names_without_room_are_left_out() {
        let area = (0.0, 0.0, 200.0, 100.0);
        assert_eq!(written(area, &[named((5.0, 5.0), "far too long a name for so small an area as this")]), "");
        let crowd: Vec<Named> = (0..50).map(|_| named((100.0, 50.0), "name")).collect();
        assert!((4..50).contains(&written(area, &crowd).matches("<text").count()));
    }
}
