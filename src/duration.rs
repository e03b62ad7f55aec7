//! Durations as texts for people.

use std::time::Duration;

/// Formats a measured time: `0.4 s`, `12 s`, `4 min 05 s`, `1 h 02 min`.
pub fn measured(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 119.5 => format!("{whole} s"),
        _ if whole < 3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Formats an age by its largest unit: `90 s`, `15 min`, `3 h`.
pub fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Formats a budget in minutes, rounded up: `4 min`.
pub fn budget(time: Duration) -> String {
    format!("{} min", time.as_secs().div_ceil(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_begins_where_the_smaller_one_is_hard_to_read() {
        assert_eq!(
            [0.44, 9.94, 9.96, 119.4, 119.6, 3599.4, 3600.0].map(measured),
            ["0.4 s", "9.9 s", "10 s", "119 s", "2 min 00 s", "59 min 59 s", "1 h 00 min"]
        );
        assert_eq!(
            [119, 120, 7199, 7200].map(|s| age(Duration::from_secs(s))),
            ["119 s", "2 min", "119 min", "2 h"]
        );
        assert_eq!([0, 60, 61].map(|s| budget(Duration::from_secs(s))), ["0 min", "1 min", "2 min"]);
    }
}
