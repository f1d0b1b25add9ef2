// Before anything is drawn: the theme that was chosen here before, or the system's own.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // A browser that keeps nothing for this site: the system's theme is as good.
}
