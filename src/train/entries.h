// The losses, schedules, update rules and observables that have a name in a configuration.
#pragma once

#include "entk/regularizers/entries.h"
#include "entk/train/losses.h"
#include "entk/train/observable.h"
#include "entk/train/schedule.h"
#include "entk/train/update_rule.h"

namespace entk {

/// A loss's name and maker.
using LossEntry = Entry<Loss>;
/// Those that entk has.
const std::vector<LossEntry>& built_in_losses();

/// A schedule's name and maker.
using ScheduleEntry = Entry<Schedule>;
/// Those that entk has.
const std::vector<ScheduleEntry>& built_in_schedules();

/// An update rule's name and maker.
using UpdateEntry = Entry<UpdateRule>;
/// Those that entk has.
const std::vector<UpdateEntry>& built_in_updates();

/// An observable of one column has the entry's name there, whatever the maker called it.
using ObservableEntry = Entry<Observable, Setting>;
/// Those that entk has.
const std::vector<ObservableEntry>& built_in_observables();

}  // namespace entk
