//! Flags that change nothing of what is to be measured: who gave one expects to see it in the figures.

use bench_model::{Block, WaitMode, Workload};

use super::config::Config;
use super::options::BenchArgs;

/// A warning for each such flag, with what it takes.
pub(super) fn warnings(args: &BenchArgs, configs: &[Config]) -> Vec<String> {
    let blocks: Vec<Block> = configs.iter().flat_map(Config::blocks).collect();
    let has = |one_of: &[Workload]| blocks.iter().any(|block| one_of.contains(&block.workload));
    let spins = blocks.iter().any(|block| [block.host_wait, block.guest_wait].contains(&WaitMode::Hybrid));
    let (pingpong, paced) = (Workload::Pingpong, Workload::Paced);
    let flags = [
        ("--spin", args.spin.is_some(), spins, "nobody waits in the hybrid way", "--mode hybrid"),
        (
            "--rate",
            !args.rate.is_empty(),
            has(&[Workload::Openloop]),
            "no messages are offered at a rate",
            "--workload openloop",
        ),
        (
            "--p99-limit",
            args.p99_limit.is_some(),
            has(&[Workload::Openloop]),
            "no messages are offered at a rate",
            "--workload openloop",
        ),
        (
            "--aa",
            args.aa,
            has(&[pingpong, paced]),
            "neither pingpong nor paced is measured",
            "--workload pingpong,paced",
        ),
        (
            "--matrix",
            args.matrix,
            has(&[pingpong, paced]),
            "neither pingpong nor paced is measured",
            "--workload pingpong,paced",
        ),
        (
            "--gap",
            args.gap.is_some(),
            blocks.iter().any(|block| block.conditions.gap_ns.is_some()),
            "no messages have gaps between them",
            "--workload paced",
        ),
        (
            "--load",
            args.load.is_some(),
            has(&[Workload::Contention]),
            "nothing is measured beside busy threads",
            "--workload contention",
        ),
    ];
    let idle = flags.into_iter().filter(|(_, is_given, has_effect, ..)| *is_given && !has_effect);
    idle.map(|(flag, _, _, why, cure)| format!("warning: {flag} has no effect, since {why}; add {cure}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::parse_with_args;
    use super::*;

    fn warned(words: &str) -> Vec<String> {
        let (args, configs) = parse_with_args(words).unwrap();
        warnings(&args, &configs)
    }

    #[test]
    fn a_flag_without_effect_is_told_with_what_it_takes() {
        for (words, cure) in [
            ("--spin 50us", "--mode hybrid"),
            ("--rate 1000", "--workload openloop"),
            ("--p99-limit 1ms", "--workload openloop"),
            ("--aa --workload frame", "--workload pingpong,paced"),
            ("--matrix --workload frame", "--workload pingpong,paced"),
            ("--gap 5ms --workload pingpong", "--workload paced"),
            ("--load 2 --workload paced", "--workload contention"),
        ] {
            let told = warned(words);
            assert!(told.len() == 1 && told[0].contains(cure), "{words}: {told:?}");
        }
    }

    #[test]
    fn flags_that_change_something_are_not_told() {
        for words in [
            "",
            "--spin 50us --mode hybrid",
            "--spin 50us --matrix",
            "--rate 1000 --workload openloop",
            "--aa --workload paced",
            "--gap 5ms --workload contention",
            "--load 2 --workload contention",
        ] {
            assert_eq!(warned(words), [""; 0], "{words}");
        }
    }
}
