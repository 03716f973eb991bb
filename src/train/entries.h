// The losses, schedules and observables that have a name in a configuration.
#pragma once

#include "entk/regularizers/entries.h"
#include "entk/train/losses.h"
#include "entk/train/observable.h"
#include "entk/train/schedule.h"

namespace entk {

using LossEntry = Entry<Loss>;
const std::vector<LossEntry>& built_in_losses();

using ScheduleEntry = Entry<Schedule>;
const std::vector<ScheduleEntry>& built_in_schedules();

/// An observable of one column has the entry's name there, whatever the maker called it.
using ObservableEntry = Entry<Observable, Setting>;
const std::vector<ObservableEntry>& built_in_observables();

}  // namespace entk
