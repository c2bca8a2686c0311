//! Checks that the pictures of the documentation match the text files beside them, from which they are drawn.
//! `BLESS=1 cargo test -p rawecho-syscalls --test pictures` draws them again.

use std::fmt::Write;
use std::{env, fs};

use syscalls::CALLS;

/// The style of both pictures. They have a background of their own, so they are legible on any page. The
/// background is dark if the reader prefers a dark color scheme.
const STYLE: &str = "<style>\
.picture{font:13px ui-sans-serif,system-ui,sans-serif}\
.picture .card{fill:#fff;stroke:#d0d7de}\
.picture text{fill:#1f2328}\
.picture .code{font-family:ui-monospace,monospace;font-size:12px}\
.picture .quiet{fill:#59636e}\
.picture .line{stroke:#59636e;fill:none}\
.picture .head{fill:#59636e}\
.picture .box{fill:#f6f8fa;stroke:#d0d7de}\
@media(prefers-color-scheme:dark){\
.picture .card{fill:#0d1117;stroke:#3d444d}\
.picture text{fill:#f0f6fc}\
.picture .quiet{fill:#9198a1}\
.picture .line{stroke:#9198a1}\
.picture .head{fill:#9198a1}\
.picture .box{fill:#151b23;stroke:#3d444d}}\
</style>";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Returns an SVG file that also works inside an HTML page. It has no empty line, because Markdown would end
/// the HTML block there.
fn svg(width: u32, height: u32, label: &str, content: &str) -> String {
    format!(
        "<svg class=\"picture\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" role=\"img\" aria-label=\"{}\" style=\"max-width:100%;height:auto\">\n{STYLE}\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{content}</svg>\n",
        escape(label),
        width - 1,
        height - 1,
    )
}

/// Returns the lines of a source file, without its comments.
fn lines(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter(|line| !line.starts_with('#'))
}

/// Appends a horizontal arrow from `x1` to `x2` at height `y` to `out`.
fn arrow(out: &mut String, x1: u32, x2: u32, y: u32, dashed: bool) {
    let dash = if dashed {
        " stroke-dasharray=\"4 3\""
    } else {
        ""
    };
    let back = if x2 > x1 { x2 - 7 } else { x2 + 7 };
    writeln!(
        out,
        "<path class=\"line\"{dash} d=\"M{x1} {y}H{x2}\"/>\
         <path class=\"head\" d=\"M{x2} {y}L{back} {}V{}Z\"/>",
        y - 4,
        y + 4
    )
    .expect("a string");
}

const ONE_ECHO: &str = include_str!("../src/one_echo.seq");

/// Draws a sequence diagram.
fn sequence(source: &str) -> String {
    /// The positions of the three lifelines.
    const LIFELINES: [u32; 3] = [110, 390, 670];
    const ROW: u32 = 24;
    const WIDTH: u32 = 780;
    let mut lines = lines(source);
    let actors = lines.next().expect("a line of actors");
    let actors = actors.strip_prefix("actors: ").expect("the actors");
    let actors: Vec<_> = actors.split("; ").collect();
    let place = |name: &str| {
        let index = actors.iter().position(|actor| actor.starts_with(name));
        LIFELINES[index.unwrap_or_else(|| panic!("no actor {name}"))]
    };
    let rows: Vec<_> = lines.collect();
    let bottom = 48 + ROW * rows.len() as u32 + 12;
    let mut out = String::new();
    for (actor, x) in actors.iter().zip(LIFELINES) {
        writeln!(
            out,
            "<text x=\"{x}\" y=\"26\" text-anchor=\"middle\" font-weight=\"600\">{}</text>\
             <path class=\"line\" opacity=\"0.4\" d=\"M{x} 36V{bottom}\"/>",
            escape(actor)
        )
        .expect("a string");
    }
    let kernel = place("kernel");
    for (i, row) in rows.iter().enumerate() {
        let y = 58 + ROW * i as u32;
        let (subject, text) = row.split_once(": ").expect("a colon");
        if subject == "note" {
            writeln!(
                out,
                "<rect class=\"box\" x=\"{}\" y=\"{}\" width=\"240\" height=\"19\" rx=\"3\"/>\
                 <text class=\"quiet\" x=\"{kernel}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                kernel - 120,
                y - 12,
                y + 2,
                escape(text)
            )
            .expect("a string");
            continue;
        }
        let (actor, direction) = subject.split_once(' ').expect("an arrow");
        let program = place(actor);
        let middle = (program + kernel) / 2;
        let class = match direction {
            "-> kernel" => {
                arrow(&mut out, program, kernel, y, false);
                "code"
            }
            "<- kernel" => {
                arrow(&mut out, kernel, program, y, true);
                "code quiet"
            }
            other => panic!("no direction {other}"),
        };
        writeln!(
            out,
            "<text class=\"{class}\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            y - 4,
            escape(text)
        )
        .expect("a string");
    }
    let label = "One echo as a sequence diagram: the calls of the client and of the server, and what the kernel returns";
    svg(WIDTH, bottom + 12, label, &out)
}

const CALL_PATH: &str = include_str!("../src/call_path.rows");

/// Draws the stages of a call, one below the other, with the two architectures side by side.
fn call_path(source: &str) -> String {
    const LEFT: u32 = 130;
    const COLUMN: u32 = 336;
    const GAP: u32 = 14;
    const BOX: u32 = 30;
    const ROW: u32 = 48;
    const TOP: u32 = 44;
    let rows: Vec<Vec<_>> = lines(source)
        .map(|line| line.split(" | ").collect())
        .collect();
    let width = LEFT + 2 * COLUMN + GAP + 16;
    let mut out = String::new();
    for (i, name) in ["x86_64", "aarch64"].into_iter().enumerate() {
        let x = LEFT + i as u32 * (COLUMN + GAP) + COLUMN / 2;
        writeln!(
            out,
            "<text x=\"{x}\" y=\"26\" text-anchor=\"middle\" font-weight=\"600\">{name}</text>"
        )
        .expect("a string");
    }
    for (i, row) in rows.iter().enumerate() {
        let y = TOP + ROW * i as u32;
        writeln!(
            out,
            "<text class=\"quiet\" x=\"16\" y=\"{}\">{}</text>",
            y + 20,
            row[0]
        )
        .expect("a string");
        let cells = &row[1..];
        let cell = if cells.len() == 1 {
            2 * COLUMN + GAP
        } else {
            COLUMN
        };
        for (j, text) in cells.iter().enumerate() {
            let x = LEFT + j as u32 * (COLUMN + GAP);
            writeln!(
                out,
                "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{cell}\" height=\"{BOX}\" rx=\"4\"/>\
                 <text class=\"code\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x + cell / 2,
                y + 20,
                escape(text)
            )
            .expect("a string");
        }
        if i + 1 < rows.len() {
            for j in 0..2 {
                let x = LEFT + j * (COLUMN + GAP) + COLUMN / 2;
                let (from, to) = (y + BOX, y + ROW);
                writeln!(
                    out,
                    "<path class=\"line\" d=\"M{x} {from}V{}\"/>\
                     <path class=\"head\" d=\"M{x} {to}L{} {}H{}Z\"/>",
                    to - 6,
                    x - 4,
                    to - 7,
                    x + 4
                )
                .expect("a string");
            }
        }
    }
    let label = "The path of a call on each architecture, from the typed wrapper through the registers and the instruction into the kernel and back";
    let height = TOP + ROW * rows.len() as u32;
    svg(width, height, label, &out)
}

/// Asserts that the committed picture equals `drawn`, or writes `drawn` to its file if `BLESS` is set.
fn compare_or_write(name: &str, committed: &str, drawn: &str) {
    if env::var_os("BLESS").is_some() {
        let path = format!("{}/src/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::write(path, drawn).expect("the picture");
    } else {
        assert!(
            committed == drawn,
            "syscalls/src/{name} is stale: run BLESS=1 cargo test -p rawecho-syscalls --test pictures"
        );
    }
}

#[test]
fn one_echo_picture_matches_its_source() {
    let committed = include_str!("../src/one_echo.svg");
    compare_or_write("one_echo.svg", committed, &sequence(ONE_ECHO));
}

#[test]
fn call_path_picture_matches_its_source() {
    let committed = include_str!("../src/call_path.svg");
    compare_or_write("call_path.svg", committed, &call_path(CALL_PATH));
}

/// Compares the calls in the picture with those in the text that it illustrates, in their order.
#[test]
fn one_echo_picture_has_the_calls_of_its_text() {
    let call_of = |text: &str| {
        let name = text.split('(').next().expect("a first part");
        CALLS
            .iter()
            .map(|call| call.name)
            .find(|call| *call == name)
    };
    let drawn: Vec<_> = lines(ONE_ECHO)
        .filter_map(|line| line.split_once(" -> kernel: "))
        .map(|(_, text)| call_of(text).unwrap_or_else(|| panic!("no call {text}")))
        .collect();
    let documented: Vec<_> = include_str!("../src/one_echo.md")
        .lines()
        .map(str::trim_start)
        .filter(|line| line.contains('('))
        .filter_map(call_of)
        .collect();
    assert_eq!(drawn, documented, "left: one_echo.seq, right: one_echo.md");
}

/// Compares the registers and the number in the picture with those that the code uses.
#[test]
fn call_path_picture_names_the_registers_of_the_code() {
    let row = lines(CALL_PATH).find(|line| line.starts_with("registers | "));
    let cells: Vec<_> = row.expect("a row of registers").split(" | ").collect();
    let read = CALLS.iter().find(|call| call.name == "read").expect("read");
    for (cell, register, number) in [
        (cells[1], "rax", read.x86_64),
        (cells[2], "x8", read.aarch64),
    ] {
        assert!(
            cell.starts_with(&format!("{register}={number} ")),
            "the number of read is {number}: {cell}"
        );
    }
    let cell = match syscalls::arch::NAME {
        "x86_64" => cells[1],
        _ => cells[2],
    };
    let registers: Vec<_> = cell
        .split(' ')
        .filter_map(|pair| pair.split('=').next())
        .collect();
    let arguments = &syscalls::arch::ARGUMENT_REGISTERS[..read.arguments.len()];
    let expected: Vec<_> = [syscalls::arch::NUMBER_REGISTER]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    assert_eq!(registers, expected);
}
