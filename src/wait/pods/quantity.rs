//! Exact arithmetic on resource quantities. Source: `apimachinery/pkg/api/resource/quantity.go` and `suffix.go`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Billionths in one: the API stores nothing smaller.
const ONE: i128 = 1_000_000_000;

/// A quantity in billionths, rounded up as the API does. None if it is malformed or too large.
pub(super) fn nanos(quantity: &Quantity) -> Option<i128> {
    let text = quantity.0.trim();
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (number, negative) = match number.strip_prefix('-') {
        Some(number) => (number, true),
        None => (number.strip_prefix('+').unwrap_or(number), false),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = digits.parse().ok()?;
    let mut multiple = digits.checked_mul(ONE)?;
    let mut divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    match factor(suffix)? {
        (base, power) if power >= 0 => {
            multiple = multiple.checked_mul(base.checked_pow(power.unsigned_abs())?)?;
        }
        (base, power) => divisor = divisor.checked_mul(base.checked_pow(power.unsigned_abs())?)?,
    }
    let rounded = multiple / divisor + i128::from(multiple % divisor > 0);
    Some(if negative { -rounded } else { rounded })
}

/// Base and exponent of a suffix.
fn factor(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "" => (10, 0),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        exponent => (10, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact() {
        let amount = |text: &str| nanos(&Quantity(text.into()));
        assert_eq!(amount("0"), Some(0));
        assert_eq!(amount("200m"), amount("0.2"));
        assert_eq!(amount("200m").unwrap() + amount("2800m").unwrap(), amount("3").unwrap());
        assert_eq!(amount("1e3"), amount("1k"));
        assert_eq!(amount("1E-3"), amount("1m"));
        assert_eq!(amount("1E"), Some(1_000_000_000_000_000_000_000_000_000));
        assert_eq!(amount("1.5Gi"), Some(1_610_612_736 * ONE));
        assert_eq!(amount("+.5"), Some(500_000_000));
        assert_eq!(amount("-1"), Some(-ONE));
        assert_eq!(amount("0.0000000001"), Some(1), "rounded up");
        for text in ["", "m", "1.2.3", "1x", "1e", "--1", "1e99", "99999999999999999999999999999999999999"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }
}
