// The list of studies: a new one is a file of its own and a line here.
#pragma once

#include "entk/runs/study_page.h"

namespace entk {

/// In the order of the paper.
const std::vector<Study>& studies();

/// Those, and a user's own. @throws InputError for one without name or reader, or of a name that is taken.
std::vector<Study> with_built_in_studies(const std::vector<Study>& own);

/// What `entk reproduce` takes: the studies' stages, in their order.
const std::vector<Stage>& reproduce_stages();

/// The study that a folder is of, and its task. @throws InputError for a folder that no study reads, with the reason of
/// the one that comes nearest.
struct FolderStudy {
  const Study* study;
  std::unique_ptr<Task> task;
};
FolderStudy study_of(const std::filesystem::path& folder, const std::vector<Study>& studies,
                     const Catalogue& catalogue);

/// Plots and page of a run's or a study's folder again, from what is there, into `out`, that folder or another.
/// @throws InputError for a folder of something else.
Results write_page_of(const std::filesystem::path& folder, const std::filesystem::path& out, const Catalogue& catalogue,
                      const std::vector<Study>& among = studies());

}  // namespace entk
