//! `cargo xtask bench`: the server, the guest and the initiator as processes of their own, one plan, one folder.
//!
//! 1. [`options`], [`pinning`], [`config`], [`blocks`] and [`plan`]: flags become a checked configuration per driver, and
//!    that a plan. [`faults`] and [`without_effect`]: whether all of them come to something.
//! 2. [`folder`], [`machine`] and [`environment`](mod@environment): where the results go, and on what they were made.
//! 3. [`session`]: the processes, watched until the plan is done or one of them fails; [`progress`] and [`remaining`] say
//!    how far they are. [`commands`]: the same by hand. [`register`]: which other benchmarks run at the same time.

use std::fs;

use std::path::{Path, PathBuf};

use anyhow::Context;
use bench_model::{Fault, Plan};
use bench_protocol::boot::{self, RunMode};
use report::RunResult;
use report::result::environment::Environment;

use crate::accelerator::{self, ProbeOptions};
use crate::host_programs;
use crate::provision::{self, Guest};
use crate::signals::StopFlag;
use crate::ui::display_path;
use crate::vm::qemu::{Ivshmem, QemuOptions};
use crate::vm::server::{ServerOptions, private_socket};
use crate::workspace::workspace_root;
use bench_model::Accelerator;

mod concurrent_runs;
mod config;
mod environment;
mod faults;
mod flag_checks;
mod host_info;
mod options;
mod output_dir;
mod pinning;
mod plan;
mod plan_blocks;
mod progress;
mod repro_script;
mod session;

pub(crate) use host_info::{cores, cpu_model};
pub(crate) use options::BenchArgs;

use concurrent_runs::ConcurrentRuns;
use config::Config;
use progress::ProgressUi;
use session::Session;

/// Runs the benchmark; whether every self-check passed.
pub(crate) fn run(args: &BenchArgs, stop: &StopFlag) -> anyhow::Result<bool> {
    let configs = flag_checks::checked_configs(args)?;
    if let Some(cpu) = &args.cpu {
        cpu.check(args.accel)?;
    }
    args.timeouts.apply();
    for config in &configs {
        provision::check(args.custom_kernel().as_ref(), Some(config.driver))?;
    }
    for warning in flag_checks::warnings(args, &configs) {
        crate::ui::status(&warning);
    }
    let folders: Vec<&str> = match &configs[..] {
        [_] => Vec::new(),
        several => several.iter().map(|config| config.driver.name()).collect(),
    };
    let out = output_dir::create(args.out.as_deref(), &configs[0].modes_name(), &folders)?;
    let mut register = ConcurrentRuns::join(&cpus_of(&configs[0]));
    for other in register.now() {
        crate::ui::status(&format!(
            "warning: another benchmark runs ({other}): wait until it ends; the figures of both suffer"
        ));
    }
    let outcome = match &configs[..] {
        [config] => run_into(&out, args, config, &mut register, stop).and_then(|result| {
            output_dir::point_latest(&out);
            // The report's path is the last thing that is said.
            crate::commands::report::print(&out, &result, args.json)?;
            Ok(result.passed())
        }),
        several => compare_drivers(&out, args, several, &mut register, stop),
    };
    // A run that did not come to writing anything leaves nothing.
    if fs::remove_dir(&out).is_err() {
        output_dir::point_latest(&out);
        match outcome {
            Err(_) => crate::ui::status(&format!("what there is of the run: {}", display_path(&told_in(&out)))),
            Ok(_) if configs.len() > 1 => crate::ui::status(&format!("results: {}", display_path(&out))),
            Ok(_) => {}
        }
    }
    outcome
}

/// One boot per driver, each with a folder of its own below `out`, and one table over all.
fn compare_drivers(
    out: &Path,
    args: &BenchArgs,
    configs: &[Config],
    register: &mut ConcurrentRuns,
    stop: &StopFlag,
) -> anyhow::Result<bool> {
    let mut results = Vec::new();
    for config in configs {
        let folder = out.join(config.driver.name());
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        results.push(run_into(&folder, args, config, register, stop).with_context(|| config.driver.name())?);
    }
    let table = report::driver_table(&results);
    fs::write(out.join("drivers.txt"), &table).context("cannot write drivers.txt")?;
    if args.json {
        crate::ui::print(&format!("{}\n", serde_json::to_string_pretty(&results)?))?;
    } else {
        crate::ui::print(&table)?;
    }
    Ok(results.iter().all(RunResult::passed))
}

/// The page if it came to one, or the folder.
fn told_in(out: &Path) -> PathBuf {
    let page = out.join(report::io::file_names::HTML_FILE);
    if page.is_file() { page } else { out.to_owned() }
}

/// The CPUs that a run's threads stay on; all that it may use where none is pinned.
fn cpus_of(config: &Config) -> Vec<usize> {
    let pinned: Vec<usize> = config.pinning.threads().map(|(_, cpu)| cpu).collect();
    if pinned.is_empty() { cores() } else { pinned }
}

fn run_into(
    out: &Path,
    args: &BenchArgs,
    config: &Config,
    register: &mut ConcurrentRuns,
    stop: &StopFlag,
) -> anyhow::Result<RunResult> {
    // Before anything is built: what the build leaves in the average is no load of the run.
    let load_average = environment::load_average();
    let mut steps = ProgressUi::new();
    let programs = host_programs::build(&|step| steps.status(step))?;
    let provision = provision::Options {
        kernel: args.custom_kernel(),
        shell: false,
        driver: Some(config.driver),
        consent: args.consent(),
    };
    let guest = provision::prepare(&provision, &|step| steps.status(step))?;
    if !guest.modules.contains(&config.driver.module()) {
        return Err(crate::exit_status::missing_dependency(format!(
            "the kernel {} has no module {}; take another driver with --driver, or another kernel with --kernel",
            guest.kernel_release,
            config.driver.module()
        )));
    }
    stop.check()?;
    let probe = ProbeOptions { cpu: args.cpu.as_ref(), timeouts: &args.timeouts };
    let choice = accelerator::select(args.accel, probe, &guest, stop, &|step| steps.status(step))?;
    steps.note(&choice.why);
    steps.note(&format!("driver {}: {}", config.driver.name(), config.driver_reason));

    let started = jiff::ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let server = ServerOptions {
        program: programs.server,
        socket: private_socket(),
        memory_bytes: config.size_bytes,
        vectors: config.vectors,
    };
    let qemu = qemu_options(args, config, &guest, &server, choice.accelerator);
    let busy_cpus = environment::busy_cpus(&cores());
    let mut session = Session::start(&server, &qemu, out)?;
    let proved = session.verify_accelerator(choice.accelerator)?;
    let claimed = if config.fault == Some(Fault::ClaimKvm) { Accelerator::Kvm } else { proved };
    session.pin(&config.pinning)?;
    let plan = plan::build(config, server.socket.clone(), session.threads()?, args);
    let mut environment = Environment {
        accel: claimed.name().to_owned(),
        accel_reason: choice.why,
        irqfd: Some(claimed == Accelerator::Kvm),
        qemu_version: Some(session.qemu_version()?),
        host_kernel: host_info::kernel(),
        cpu_model: cpu_model(),
        cores: u32::try_from(cores().len()).unwrap_or(u32::MAX),
        driver_reason: Some(config.driver_reason.clone()),
        pinning: Some(config.pinning.to_string()),
        vectors: config.vectors.into(),
        memory_bytes: config.size_bytes,
        git_revision: host_info::git_revision(&workspace_root()),
        started: Some(started),
        command: Some(repro_script::invocation(std::env::args_os().skip(1))),
        host: environment::host(),
        software: environment::software(&qemu),
        ..Environment::default()
    };
    environment.load.load_average = load_average;
    environment.load.busy_cpus = busy_cpus;
    environment.guest_kernel = Some(guest.kernel_release.clone());
    write_plan(&out.join("plan.json"), &plan)?;
    let initiator = session::initiator(&programs.host_peer, out);
    repro_script::write(out, &server.command(), &qemu, &initiator, &config.pinning)?;
    if args.verbose {
        for command in [&server.command(), &qemu.command(), &initiator] {
            steps.note(&crate::process::child::command_line(command));
        }
    }
    steps.plan(&plan.blocks);
    let stolen = environment::StealMeter::start(cores());
    let outcome = session.measure(initiator, out, &plan, &steps, stop);
    environment.accel_seen = session.seen().map(|seen| seen.name().to_owned());
    environment.load.steal_percent = stolen.percent();
    environment.load.other_benchmarks = register.since_last();
    drop(session);
    steps.finish();
    finish(out, environment, config, outcome)
}

fn qemu_options(
    args: &BenchArgs,
    config: &Config,
    guest: &Guest,
    server: &ServerOptions,
    accelerator: Accelerator,
) -> QemuOptions {
    QemuOptions {
        accelerator,
        cpu: args.cpu.clone(),
        cpus: config.smp.into(),
        memory: format!("{}M", args.mem >> 20),
        kernel: guest.kernel.clone(),
        initramfs: guest.initramfs.clone(),
        append: format!(
            "{} {} {}",
            args.timeouts.boot_parameters(RunMode::Respond, Some(config.driver)),
            boot::parameter(boot::BAR2, config.bar2_map.name()),
            args.append
        ),
        iommu: config.driver.needs_iommu(),
        device: Ivshmem::Doorbell { socket: server.socket.clone(), vectors: config.vectors },
    }
}

/// Renders what was measured, however far it came. An error of the run comes after what can be shown of it.
fn finish(
    out: &Path,
    environment: Environment,
    config: &Config,
    outcome: anyhow::Result<()>,
) -> anyhow::Result<RunResult> {
    let hint = format!("Hint: free space there, then run cargo xtask report {}", display_path(out));
    let Err(error) = outcome else {
        let rendered = report::render(out, environment, config).map_err(anyhow::Error::from);
        return rendered.map_err(|error| anyhow::anyhow!("{error:#}. The measurements are complete. {hint}"));
    };
    let unwritten = match report::render_ended(out, environment, config, &format!("{error:#}")) {
        Ok(report::Ended { result, unwritten }) => {
            // The run's own error is reported, whether or not this can be printed.
            let _ = crate::ui::print_styled(&report::styled_summary(&result));
            unwritten
        }
        Err(unreadable) => Some(unreadable),
    };
    if let Some(unwritten) = unwritten {
        let unwritten = anyhow::Error::from(unwritten);
        crate::ui::status(&format!("warning: no report of what was measured: {unwritten:#}. {hint}"));
    }
    Err(error)
}

fn write_plan(path: &Path, plan: &Plan) -> anyhow::Result<()> {
    output_dir::write_whole(path, &serde_json::to_vec_pretty(plan)?)
}
