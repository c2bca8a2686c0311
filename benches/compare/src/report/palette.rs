//! The colours of the plots. The plots of the grid distinguish peers by colour. Bar charts show names, and
//! colour a bar by the server's role.

use plotters::style::RGBColor;

use crate::servers::{RAWECHO, Role, SERVERS, role};

/// Text and axes.
pub const INK: RGBColor = RGBColor(60, 60, 67);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(228, 228, 232);
/// The background. Opaque, so that a plot is legible on any page.
pub const PAPER: RGBColor = RGBColor(255, 255, 255);
/// rawecho only.
pub const ACCENT: RGBColor = RGBColor(214, 64, 0);
/// rawecho with other options.
const VARIANT: RGBColor = RGBColor(240, 160, 120);
/// The floors.
pub const FLOOR: RGBColor = RGBColor(20, 20, 24);
/// A peer in bar charts, which show its name beside the bar.
pub const PEER: RGBColor = RGBColor(150, 170, 196);

/// The floors in bar charts, where a whisker overlaps the bar.
const FLOOR_BAR: RGBColor = RGBColor(104, 104, 112);

/// For peers that are distinguished only by colour, in the order of the table.
const PEERS: [RGBColor; 9] = [
    RGBColor(0, 90, 160),
    RGBColor(90, 170, 230),
    RGBColor(0, 140, 110),
    RGBColor(130, 190, 60),
    RGBColor(130, 80, 170),
    RGBColor(200, 130, 200),
    RGBColor(140, 100, 60),
    RGBColor(220, 165, 0),
    RGBColor(120, 120, 128),
];

/// Returns a server's colour in plots that distinguish peers by colour.
pub fn of(name: &str) -> RGBColor {
    if name == RAWECHO {
        return ACCENT;
    }
    if role(name) == Some(Role::Variant) {
        return VARIANT;
    }
    if matches!(
        role(name),
        Some(Role::Floor | Role::SpinFloor | Role::PollFloor)
    ) {
        return FLOOR;
    }
    let mut peers = SERVERS.iter().filter(|server| server.role == Role::Peer);
    let place = peers.position(|server| server.name == name).unwrap_or(0);
    PEERS[place % PEERS.len()]
}

/// Returns a server's colour in plots that show its name.
pub fn by_role(name: &str) -> RGBColor {
    match role(name) {
        Some(Role::Subject) => ACCENT,
        Some(Role::Variant) => VARIANT,
        Some(Role::Floor | Role::SpinFloor | Role::PollFloor | Role::OnceFloor) => FLOOR_BAR,
        _ => PEER,
    }
}
