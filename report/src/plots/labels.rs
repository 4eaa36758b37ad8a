//! Names beside points: each where it touches no other name, no point and no edge.

use super::canvas::{Anchor, Area, Canvas, Place, Type};
use super::font::width;

const SIZE: f64 = 12.5;
/// From a point to its name.
const GAP: f64 = 9.0;
const HIGH: f64 = 15.0;

/// Writes the names of points, in their order; one for which there is no room is left out, since legends name all.
pub(crate) fn beside(canvas: &mut Canvas, area: Area, points: &[(Place, String)]) {
    let mut taken: Vec<Area> = points.iter().map(|((x, y), _)| (x - 6.0, y - 6.0, 12.0, 12.0)).collect();
    for ((x, y), name) in points {
        let wide = width(name, SIZE, false);
        let candidates = [
            (Anchor::Start, x + GAP, y + 4.4, x + GAP),
            (Anchor::End, x - GAP, y + 4.4, x - GAP - wide),
            // So far above and below that names at the sides do not touch them.
            (Anchor::Middle, *x, y - 12.0, x - wide / 2.0),
            (Anchor::Middle, *x, y + 20.0, x - wide / 2.0),
        ];
        let free = candidates.into_iter().find_map(|(anchor, at_x, at_y, left)| {
            let room = (left, at_y - HIGH + 3.0, wide, HIGH);
            (is_within(room, area) && taken.iter().all(|one| !overlap(*one, room)))
                .then_some((anchor, at_x, at_y, room))
        });
        if let Some((anchor, at_x, at_y, room)) = free {
            canvas.text((at_x, at_y), name, Type::new(SIZE).anchor(anchor).halo());
            taken.push(room);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_room_are_left_out() {
        let area = (0.0, 0.0, 200.0, 100.0);
        let crowd: Vec<(Place, String)> = (0..50).map(|_| ((100.0, 50.0), "name".to_owned())).collect();
        let mut canvas = Canvas::default();
        beside(&mut canvas, area, &crowd);
        assert_eq!(canvas.into_string().matches("<text").count(), 4, "one on each side");
        let mut canvas = Canvas::default();
        beside(&mut canvas, area, &[((5.0, 5.0), "far too long a name for so small an area as this".to_owned())]);
        assert_eq!(canvas.into_string(), "");
    }
}
