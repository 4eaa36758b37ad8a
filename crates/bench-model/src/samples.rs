//! One row per measured operation (`samples.csv`). Times are nanoseconds; stamps count from the run's start on the
//! host's time line. An empty field was not taken or is unknown.

use serde::{Deserialize, Serialize};
use struct_field_names_as_array::FieldNamesAsArray;

use crate::wait_mode::WaitMode;
use crate::workload::Workload;

/// The outcome of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// PROCESSED; frames were verified.
    Ok,
    /// ERROR: the content does not match its hash.
    HashMismatch,
    /// ERROR: the slot's header is invalid.
    BadHeader,
    /// ERROR with another code: a wrong payload, or an unknown code.
    GuestError,
    /// No acknowledgement within the time limit.
    Timeout,
}

/// The table's header.
pub const COLUMNS: [&str; 34] = Row::FIELD_NAMES_AS_ARRAY;

/// An operation's row. The fields have the order of the file's columns.
#[derive(Debug, Clone, PartialEq, Eq, FieldNamesAsArray, Serialize, Deserialize)]
pub struct Row {
    /// The block's index in the plan.
    pub block: u32,
    /// The block's workload.
    pub workload: Workload,
    /// How both sides waited: `poll`, `irq`, or `host/guest` where they differ.
    pub mode: String,
    /// How the host waited.
    pub host_wait: WaitMode,
    /// How the guest waited.
    pub guest_wait: WaitMode,
    /// The operation's sequence number, unique in the run.
    pub seq: u64,
    /// Bytes of payload.
    pub size_bytes: u64,
    /// Scheduled send time of a paced or open-loop message.
    #[serde(default)]
    pub due_ns: Option<u64>,
    /// H0: before the payload is written.
    pub h0_ns: Option<u64>,
    /// H1: payload written.
    pub h1_ns: Option<u64>,
    /// H2: sequence about to be published.
    pub h2_ns: Option<u64>,
    /// H3: ring returned.
    pub h3_ns: Option<u64>,
    /// G0: the guest's interrupt handler was entered.
    pub g0_ns: Option<u64>,
    /// G1: the guest detected the message.
    pub g1_ns: Option<u64>,
    /// G2: RECEIVED stored.
    pub g2_ns: Option<u64>,
    /// G3: payload read.
    pub g3_ns: Option<u64>,
    /// G4: SHA-256 done.
    pub g4_ns: Option<u64>,
    /// G5: PROCESSED or ERROR about to be stored; where a guest polls back to back, stored.
    pub g5_ns: Option<u64>,
    /// H4: the host detected RECEIVED, or the final acknowledgement if that came first.
    pub h4_ns: Option<u64>,
    /// H5: the host detected the final acknowledgement.
    pub h5_ns: Option<u64>,
    /// H1 − H0.
    pub write_ns: Option<u64>,
    /// H3 − H2.
    pub ring_ns: Option<u64>,
    /// G0 − H2; may be negative by the clock bound.
    pub inject_ns: Option<i64>,
    /// G1 − G0.
    pub wake_ns: Option<u64>,
    /// G1 − H2: the sum of `inject_ns` and `wake_ns` if both are known; may be negative by the clock bound.
    pub notify_ns: Option<i64>,
    /// H4 − G2. Negative within the clock bound, or if the guest was delayed between its store and its stamp.
    pub ack_ns: Option<i64>,
    /// G3 − G2.
    pub read_ns: Option<u64>,
    /// G4 − G3.
    pub verify_ns: Option<u64>,
    /// G5 − G1 without `read_ns` and `verify_ns`: the guest's other work before the acknowledgement. Earlier versions
    /// do not record it.
    #[serde(default)]
    pub handle_ns: Option<u64>,
    /// H5 − G5. If G5 is stamped before the acknowledgement, negative by at most the clock bound; otherwise like
    /// `ack_ns`.
    pub answer_ns: Option<i64>,
    /// H5 − H2.
    pub rtt_ns: Option<u64>,
    /// H5 − H0.
    pub end_to_end_ns: Option<u64>,
    /// H5 − due: the corrected latency.
    #[serde(default)]
    pub corrected_ns: Option<u64>,
    /// The outcome.
    pub status: Status,
}

/// The wait modes of both sides, as `--mode` spells them.
#[must_use]
pub fn mode_name(host: WaitMode, guest: WaitMode) -> String {
    if host == guest { host.to_string() } else { format!("{host}/{guest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header is stable: scripts and earlier runs depend on it.
    #[test]
    fn header_of_samples_csv_is_stable() {
        let header = "block,workload,mode,host_wait,guest_wait,seq,size_bytes,due_ns,h0_ns,h1_ns,h2_ns,h3_ns,g0_ns,\
                      g1_ns,g2_ns,g3_ns,g4_ns,g5_ns,h4_ns,h5_ns,write_ns,ring_ns,inject_ns,wake_ns,notify_ns,ack_ns,\
                      read_ns,verify_ns,handle_ns,answer_ns,rtt_ns,end_to_end_ns,corrected_ns,status";
        assert_eq!(COLUMNS.join(","), header);
    }

    #[test]
    fn columns_match_the_fields_of_a_row() {
        let empty = ",".repeat(COLUMNS.len() - 7);
        let text = format!("{}\n0,pingpong,poll,poll,poll,1,64{empty}ok\n", COLUMNS.join(","));
        let rows: Vec<Row> = csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap();
        let mut out = csv::Writer::from_writer(Vec::new());
        out.serialize(&rows[0]).unwrap();
        assert_eq!(String::from_utf8(out.into_inner().unwrap()).unwrap(), text);
    }
}
