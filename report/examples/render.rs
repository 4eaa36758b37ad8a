//! Draws the plots of a run's folder again: `cargo run -p report --example render -- RUN OUT`.

use std::path::PathBuf;

use report::plots;
use report::read::{MEASURED_FILE, SAMPLES_FILE, read_measured, read_samples};
use report::result::RunResult;
use report::run::Run;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folders = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (folders.next(), folders.next()) else {
        return Err("two folders are wanted: the run's, and the one to write into".into());
    };
    let result = RunResult::load(&from)?;
    let (rows, _) = read_samples(&from.join(SAMPLES_FILE))?;
    let run = Run::new(read_measured(&from.join(MEASURED_FILE))?, rows);
    let drawn = plots::plots(&result, &run);
    plots::write_into(&to, &drawn)?;
    for plot in drawn {
        println!("{}: {} bytes\n  {}\n  {}", plot.name, plot.svg.len(), plot.caption, plot.alt);
    }
    Ok(())
}
