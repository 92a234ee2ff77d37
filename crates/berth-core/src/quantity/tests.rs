use proptest::prelude::*;

use super::*;

fn nano(text: &str) -> Option<i128> {
    Quantity::parse(text).map(|quantity| quantity.0)
}

#[test]
fn quantities_are_read_by_value() {
    for (text, expected) in [
        ("0", 0),
        ("-0", 0),
        ("1", ONE),
        ("+1", ONE),
        ("-1", -ONE),
        ("1e0", ONE),
        ("1E0", ONE),
        ("10e-1", ONE),
        ("1000m", ONE),
        ("1000000u", ONE),
        ("1000000000n", ONE),
        ("1.", ONE),
        (".5", ONE / 2),
        ("0.1", ONE / 10),
        ("001.50", ONE * 3 / 2),
        ("1k", 1000 * ONE),
        ("1E", 1_000_000_000_000_000_000 * ONE),
        ("1Ki", 1024 * ONE),
        ("1.5Gi", 1_610_612_736 * ONE),
        ("0.5n", 1),
        ("1e-100", 1),
        ("0e1000", 0),
        ("1e1000", MAX),
        ("100E", MAX),
        ("8Ei", MAX),
        ("-100E", -MAX),
        ("1.0000000000000000000000001", ONE + 1),
        ("10000000000000000000000000000000000000000e-40", ONE),
    ] {
        assert_eq!(nano(text), Some(expected), "{text}");
    }
}

#[test]
fn what_kubernetes_refuses_is_no_quantity() {
    for text in [
        "",
        ".",
        "-",
        "+-1",
        " 1",
        "1 ",
        "1.2.3",
        "1K",
        "1ki",
        "1e",
        "e1",
        "1e1.5",
        "1i",
        "1mi",
        "0x1",
        "1_000",
        "Ki",
        "$GPUS",
        "one",
        "1e99999999999999999999",
        "١",
    ] {
        assert_eq!(nano(text), None, "{text}");
    }
}

#[test]
fn whole_numbers_are_told_apart() {
    for (text, whole) in [
        ("2", Some(2)),
        ("2000m", Some(2)),
        ("1k", Some(1000)),
        ("500m", None),
        ("-1", None),
    ] {
        assert_eq!(
            Quantity::parse(text).and_then(Quantity::whole),
            whole,
            "{text}"
        );
    }
    assert!(Quantity::parse("1n").is_some_and(Quantity::is_positive));
    assert!(!Quantity::parse("0").is_some_and(Quantity::is_positive));
}

proptest! {
    #[test]
    fn a_number_has_one_value_however_it_is_written(number in 0_u32.., zeros in 0_usize..6) {
        let tail = "0".repeat(zeros);
        for text in [
            format!("{number}"),
            format!("00{number}.{tail}"),
            format!("{number}{tail}e-{zeros}"),
            format!("{number}000m"),
            format!("{number}.{tail}e0"),
        ] {
            prop_assert_eq!(Quantity::parse(&text).and_then(Quantity::whole), Some(number.into()), "{}", text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+]?[0-9.]{0,45}[a-zA-Z0-9+-]{0,5}") {
        let _ = Quantity::parse(&text);
    }
}
