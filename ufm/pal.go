package ufm

var palQuestions []Question
